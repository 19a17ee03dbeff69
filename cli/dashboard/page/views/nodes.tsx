/** Machines: what they are, and whether they may have tasks and a say in the cluster. */
import { mayAdminister } from "../api.ts"
import { showLabels } from "../describe.ts"
import { isWanted } from "../judge.ts"
import { nodeName, nodeOf, nodes, tasksByNode } from "../live.ts"
import type { Node } from "../objects.ts"
import { updateNode } from "../orders.ts"
import { Badge, Card, Gone, Order } from "../ui.tsx"
import { Course } from "./course.tsx"
import { nodeTone } from "./overview.tsx"
import { Tasks } from "./tasks.tsx"

const gib = (bytes = 0): string => `${(bytes / 1_073_741_824).toFixed(1)} GiB`

export const Nodes = () => (
  <>
    <h1>Nodes</h1>
    <div class="grid">
      {nodes.value.map((node) => (
        <NodeCard key={node.ID} node={node} />
      ))}
    </div>
  </>
)

function NodeCard({ node }: { node: Node }) {
  const { Resources, Platform, Engine } = node.Description ?? {}
  const running = (tasksByNode.value.get(node.ID) ?? []).filter(({ State }) => State === "running").length
  const labels = showLabels(node.Spec.Labels ?? {})
  return (
    <section class="card node">
      <h2>
        <a href={`#/node/${node.ID}`}>{nodeName(node)}</a>
      </h2>
      <p class="badges">
        <Badge tone={nodeTone(node)}>{node.Status.State ?? "unknown"}</Badge>
        <Badge tone={node.Spec.Availability === "active" ? "good" : "waiting"}>
          {node.Spec.Availability}
        </Badge>
        <Badge tone="done">{node.ManagerStatus?.Leader ? "leader" : node.Spec.Role}</Badge>
      </p>
      {node.Status.Message ? <p class="error">{node.Status.Message}</p> : null}
      <dl class="pairs">
        <dt>Tasks</dt>
        <dd>{running}</dd>
        <dt>Cores</dt>
        <dd>{(Resources?.NanoCPUs ?? 0) / 1e9}</dd>
        <dt>Memory</dt>
        <dd>{gib(Resources?.MemoryBytes)}</dd>
        <dt>Address</dt>
        <dd>{node.Status.Addr}</dd>
        <dt>Platform</dt>
        <dd>
          {Platform?.OS} {Platform?.Architecture}
        </dd>
        <dt>Engine</dt>
        <dd>{Engine?.EngineVersion}</dd>
        {labels === "" ? null : (
          <>
            <dt>Labels</dt>
            <dd>{labels}</dd>
          </>
        )}
      </dl>
    </section>
  )
}

export function NodePage({ id }: { id: string }) {
  const node = nodeOf(id)
  if (node === undefined) return <Gone what="node" home={["#/nodes", "Nodes"]} id={id} />
  const name = nodeName(node)
  const here = (tasksByNode.value.get(id) ?? [])
    .filter((task) => isWanted(task) || task.State === "running")
    .sort((a, b) => a.Name.localeCompare(b.Name, "en", { numeric: true }))
  const running = here.filter(({ State }) => State === "running").length
  const availability = (to: string, label: string, did: string, sure?: string) => (
    <Order
      label={label}
      command={`docker node update --availability ${to} ${name}`}
      did={did}
      disabled={node.Spec.Availability === to}
      {...(sure !== undefined && { sure })}
      onAct={() => updateNode(id, { Availability: to })}
    />
  )
  const isManager = node.Spec.Role === "manager"
  const managers = nodes.value.filter(({ Spec }) => Spec.Role === "manager").length
  return (
    <>
      <p class="trail">
        <a href="#/nodes">Nodes</a>
      </p>
      <h1>{name}</h1>
      <div class="columns">
        <NodeCard node={node} />
        <Card title="Direct">
          <div class="orders">
            {availability("active", "Activate", `${name} takes tasks again`)}
            {availability("pause", "Pause", `${name} gets no new tasks`)}
            {availability(
              "drain",
              "Drain",
              `${name} is drained: its tasks move elsewhere`,
              `Drain ${name}? ${running} ${running === 1 ? "task stops here and starts" : "tasks stop here and start"} elsewhere, where there is room.`
            )}
            <Order
              label={isManager ? "Demote" : "Promote"}
              command={`docker node ${isManager ? "demote" : "promote"} ${name}`}
              did={isManager ? `${name} becomes a worker` : `${name} becomes a manager`}
              may={mayAdminister()}
              sure={
                isManager
                  ? `Demote ${name}? ${managers - 1} of ${managers} managers stay.`
                  : `Promote ${name}? It becomes the manager number ${managers + 1}.`
              }
              onAct={() => updateNode(id, { Role: isManager ? "worker" : "manager" })}
            />
          </div>
        </Card>
        <Course kind="node" id={id} />
      </div>
      <Tasks key={id} tasks={here} of="node" />
    </>
  )
}
