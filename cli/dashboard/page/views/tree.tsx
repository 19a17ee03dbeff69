/** The actors of the node that serves this page, as its supervisors have them, looked at once a second. */
import { useEffect, useState } from "preact/hooks"
import { act, call, mayOperate } from "../api.ts"
import { Badge, Empty } from "../ui.tsx"

interface TreeNode {
  readonly name: string
  readonly kind: "supervisor" | "actor"
  readonly state: string
  readonly summary?: string
  readonly depth?: number
  readonly handled?: number
  readonly restarts: number
  readonly lastError?: string
  readonly decideMicros?: { readonly p99: number }
  readonly children: ReadonlyArray<TreeNode>
}

const everyMs = 1_000

export function Tree() {
  const [trees, setTrees] = useState<ReadonlyArray<TreeNode>>([])
  useEffect(() => {
    const look = (): void =>
      void call<ReadonlyArray<TreeNode>>("GET", "/dashboard/tree").then(setTrees, () => {})
    look()
    const timer = setInterval(look, everyMs)
    return () => clearInterval(timer)
  }, [])
  return (
    <>
      <h1>Supervision</h1>
      <p class="facts">
        <span>the live tree of this node</span>
        <code>troupe tree --watch</code>
      </p>
      {trees.length === 0 ? <Empty>No actors to be seen.</Empty> : null}
      <section class="card tree">
        {trees.map((tree) => (
          <Branch key={tree.name} node={tree} path={[tree.name]} />
        ))}
      </section>
    </>
  )
}

function Branch({ node, path }: { node: TreeNode; path: ReadonlyArray<string> }) {
  const line = (
    <span class="leaf">
      <Badge tone={node.state === "running" ? "good" : node.state === "failed" ? "bad" : "waiting"}>
        {node.name}
      </Badge>
      {node.summary === undefined ? null : <small>{node.summary}</small>}
      <span class="gauges">
        {node.depth === undefined ? null : (
          <small class={node.depth > 0 ? "warm" : ""}>{node.depth} waiting</small>
        )}
        {node.handled === undefined ? null : <small>{node.handled} handled</small>}
        {node.restarts === 0 ? null : <small class="warm">{node.restarts} restarts</small>}
        {node.decideMicros === undefined ? null : <small>p99 {Math.round(node.decideMicros.p99)} µs</small>}
      </span>
      {node.lastError === undefined ? null : <small class="error">{node.lastError}</small>}
    </span>
  )
  const button = (
    <button
      type="button"
      class="small"
      disabled={!mayOperate()}
      aria-label={`Restart ${node.name}`}
      title={`troupe tree restart ${node.name}`}
      onClick={() =>
        void act(`${node.name} was restarted`, () => call("POST", "/dashboard/tree/restart", { path }))
      }
    >
      Restart
    </button>
  )
  if (node.children.length === 0)
    return (
      <div class="branch">
        <div class="branch-line">
          {line}
          {button}
        </div>
      </div>
    )
  return (
    <details class="branch" open={path.length < 3}>
      <summary>{line}</summary>
      <div class="below">
        <div class="branch-line">
          <small class="faint">all of {node.name}</small>
          {button}
        </div>
        {node.children.map((child) => (
          <Branch key={child.name} node={child} path={[...path, child.name]} />
        ))}
      </div>
    </details>
  )
}
