/** One task: what became of it and why, where it is, what it has and uses, what it says. */
import { useState } from "preact/hooks"
import type { ShownChange } from "#cli/print/history.ts"
import type { WhyTask } from "#cli/print/why.ts"
import { mayOperate } from "../api.ts"
import { type Described, describe } from "../describe.ts"
import { hasEnded } from "../judge.ts"
import { clock, nodeName, nodeOf, serviceOf, taskOf } from "../live.ts"
import type { Task } from "../objects.ts"
import { usePolled } from "../poll.ts"
import { ago, Badge, Card, Empty, Gone, hue, Moments, Pairs, Same, tone } from "../ui.tsx"
import { Console } from "./console.tsx"
import { Course } from "./course.tsx"
import { Logs } from "./logs.tsx"
import { Waiting } from "./why.tsx"

/** As much of `GET /tasks/ID` as is shown. */
interface Whole {
  readonly CreatedAt: string
  readonly Spec: Described["TaskTemplate"]
  readonly Status: {
    readonly ContainerStatus?: { readonly ContainerID?: string; readonly ExitCode?: number }
    readonly PortStatus?: {
      readonly Ports?: ReadonlyArray<{ readonly PublishedPort?: number; readonly TargetPort: number }>
    }
  }
  readonly NetworksAttachments?: ReadonlyArray<{
    readonly Network: { readonly ID: string; readonly Spec: { readonly Name: string } }
    readonly Addresses: ReadonlyArray<string>
  }>
}

const everyMs = 3_000

export function TaskPage({ id }: { id: string }) {
  const task = taskOf(id)
  const [inConsole, setInConsole] = useState(false)
  if (task === undefined)
    return (
      <>
        <Gone what="task" home={["#/", "Cluster"]} id={id} />
        <Course kind="task" id={id} />
        <Past id={id} />
      </>
    )
  const service = serviceOf(task.ServiceID)
  const node = nodeOf(task.NodeID)
  return (
    <>
      <p class="trail">
        <a href="#/">Cluster</a> ›{" "}
        {service === undefined ? (
          task.ServiceID
        ) : (
          <a href={`#/service/${task.ServiceID}`}>{service.Spec.Name}</a>
        )}
      </p>
      <h1>
        <i class="swatch large" style={{ "--hue": hue(service?.Spec.Name ?? "") }} aria-hidden="true" />
        {task.Name}
        <span class="count">
          <Badge tone={tone(task)}>{task.State}</Badge>
        </span>
      </h1>
      <p class="facts">
        <span>
          {task.State} for {ago(task.At)}
          {task.Desired === task.State ? "" : `, to be ${task.Desired}`}
        </span>
        {node === undefined ? (
          <span>no node yet</span>
        ) : (
          <span>
            on <a href={`#/node/${node.ID}`}>{nodeName(node)}</a>
          </span>
        )}
        <code>{id}</code>
      </p>
      <Where key={`why ${id}`} task={task} />
      <div class="columns">
        <What key={`what ${id}`} task={task} />
        <div>
          <Course key={`use of ${id}`} kind="task" id={id} />
          <Past key={`past of ${id}`} id={id} />
        </div>
      </div>
      {task.State === "running" && !inConsole ? (
        <Card title="Console">
          <div class="order">
            <button
              type="button"
              aria-label={`Open console in ${task.Name}`}
              title={mayOperate() ? "a shell in its container" : "your role may only look"}
              disabled={!mayOperate()}
              onClick={() => setInConsole(true)}
            >
              Open console
            </button>
            <Same command={`docker exec -it ${task.Name}.${id} /bin/sh`} />
          </div>
        </Card>
      ) : null}
      {inConsole ? <Console key={id} task={task} onClose={() => setInConsole(false)} /> : null}
      <Logs key={`output of ${id}`} of="tasks" id={id} name={id} />
    </>
  )
}

/** Why it is on its node, or on none. */
function Where({ task }: { task: Task }) {
  const [found, setFound] = useState<WhyTask>()
  usePolled<{ Tasks: ReadonlyArray<WhyTask> }>(`/why/${task.ID}`, everyMs, (next) => setFound(next?.Tasks[0]))
  const { Diagnosis, Reason, StartAfter, Node = "a node that is gone" } = found ?? {}
  const rejected = Object.entries(Reason?.Rejected ?? {})
  const says = task.IsUnwell ? task.Says : ""
  if (Diagnosis === undefined && Reason === undefined && says === "") return null
  return (
    <Card title={Diagnosis === undefined ? "Why here" : "Why it waits"}>
      {says === "" ? null : <p class="error">{says}</p>}
      {found === undefined || Diagnosis === undefined ? null : <Waiting task={found} />}
      {Reason === undefined ? null : (
        <p>
          Placed on <strong>{Node}</strong>: {Reason.Rank}
        </p>
      )}
      {rejected.length === 0 ? null : (
        <>
          <p>Other nodes were not fit for it:</p>
          <ul class="ends">
            {rejected.map(([filter, why]) => (
              <li key={filter}>{why}</li>
            ))}
          </ul>
        </>
      )}
      {task.State === "ready" && StartAfter !== undefined ? (
        <p>It may start at {clock(Date.parse(StartAfter))}, or when the task before it has stopped.</p>
      ) : null}
      <Same command={`troupe why ${task.ID}`} />
    </Card>
  )
}

const repeated = ["Labels", "Update"]

/** What it was given, and what is known of its container. */
function What({ task }: { task: Task }) {
  const [found, setFound] = useState<Whole>()
  usePolled<Whole>(`/tasks/${task.ID}`, everyMs, (next) => next && setFound(next))
  if (found === undefined) return null
  const { Spec, Status, NetworksAttachments = [], CreatedAt } = found
  const { ContainerID = "", ExitCode = 0 } = Status.ContainerStatus ?? {}
  const networks = NetworksAttachments.map(({ Network, Addresses }) => (
    <span key={Network.ID}>
      <a href={`#/network/${Network.ID}`}>{Network.Spec.Name}</a> {Addresses.join(", ")}
    </span>
  ))
  // Of one that lives the Engine makes up a zero.
  const isEnded = hasEnded(task.State) && ContainerID !== ""
  return (
    <Card
      title="What it has"
      note={<small class="faint">since {new Date(CreatedAt).toLocaleString()}</small>}
    >
      <Pairs
        of={[
          ["Message", task.Says],
          ["Exit code", isEnded ? `${ExitCode}` : ""],
          [
            "Container",
            ContainerID === "" ? "" : <code title={ContainerID}>{ContainerID.slice(0, 12)}</code>
          ],
          ...describe({ TaskTemplate: Spec }, []).filter(([name]) => !repeated.includes(name)),
          ["Networks", networks.length === 0 ? "" : <span class="stack">{networks}</span>],
          [
            "Ports of its node",
            (Status.PortStatus?.Ports ?? [])
              .map(({ PublishedPort, TargetPort }) => `${PublishedPort} to ${TargetPort}`)
              .join(", ")
          ]
        ]}
      />
      {Spec.ContainerSpec?.Healthcheck?.Test === undefined ? null : <Health key={ContainerID} id={task.ID} />}
      <Same command={`docker inspect ${task.ID}`} />
    </Card>
  )
}

/** As `docker inspect` has it. */
interface Probes {
  readonly Status?: string
  readonly Log: ReadonlyArray<{ readonly End: string; readonly ExitCode: number; readonly Output: string }>
}
const mostProbes = 4

/** The Engine of its node keeps it, as long as its container is there. */
function Health({ id }: { id: string }) {
  const [found, setFound] = useState<Probes | string>()
  usePolled<Probes>(`/dashboard/health/${id}`, everyMs, (next, problem = "") => setFound(next ?? problem))
  return (
    <div class="health">
      <h3>Health</h3>
      {typeof found === "string" ? <p class="faint">{found}</p> : null}
      {typeof found !== "object" || found.Status === undefined ? null : (
        <>
          <Badge
            tone={found.Status === "healthy" ? "good" : found.Status === "unhealthy" ? "bad" : "waiting"}
          >
            {found.Status}
          </Badge>
          <ul class="probes">
            {[...found.Log]
              .reverse()
              .slice(0, mostProbes)
              .map(({ End, ExitCode, Output }) => (
                <li key={End}>
                  <time>{clock(Date.parse(End))}</time>{" "}
                  <Badge tone={ExitCode === 0 ? "good" : "bad"}>exit {ExitCode}</Badge>
                  <code>{Output.trim() || "said nothing"}</code>
                </li>
              ))}
          </ul>
        </>
      )}
    </div>
  )
}

const changedTo = ({ Changed }: ShownChange, name: string): string | undefined => {
  const value = Changed.find(({ Field }) => Field === name)?.After
  return typeof value === "string" ? value : undefined
}

/** Every state that it came to, as far back as the history goes, with who asked. */
function Past({ id }: { id: string }) {
  const [changes, setChanges] = useState<ReadonlyArray<ShownChange>>()
  usePolled<{ readonly Changes: ReadonlyArray<ShownChange> }>(
    `/history/${id}?kind=task&limit=50`,
    everyMs,
    (next) => setChanges(next?.Changes ?? [])
  )
  if (changes === undefined) return null
  return (
    <Card title="What became of it">
      {changes.length === 0 ? <Empty>Nothing of it is in the history any more.</Empty> : null}
      <Moments label="States" kind="past">
        {[...changes].reverse().map((change) => {
          const state = changedTo(change, "Status.State")
          const wish = changedTo(change, "DesiredState")
          const node = changedTo(change, "NodeID")
          return (
            <li key={change.Sequence}>
              <time>{clock(Date.parse(change.Time))}</time>
              {state === undefined ? null : (
                <Badge tone={tone({ State: state, Desired: wish ?? state })}>{state}</Badge>
              )}
              {change.Action === "create" ? <Badge tone="waiting">created</Badge> : null}
              {change.Action === "remove" ? <Badge tone="past">removed</Badge> : null}
              {wish === undefined ? null : <span>to be {wish}</span>}
              {node === undefined ? null : <span>on {nodeName(nodeOf(node))}</span>}
              <small title={`${change.Who}: ${change.Why}`}>
                {change.Says ?? ""}
                {/* Actors say how they came to it, people what they asked for. */}
                {change.Who === "" || change.Who.includes("/") ? "" : ` by ${change.Who}: ${change.Why}`}
              </small>
            </li>
          )
        })}
      </Moments>
      <Same command={`troupe history ${id}`} />
    </Card>
  )
}
