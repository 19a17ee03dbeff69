/** The cluster at a glance: what runs where, drawn as it changes. */
import {
  countOf,
  isWanted,
  type Node,
  nodeName,
  nodes,
  serviceOf,
  services,
  type Task,
  tasks,
  tasksByNode
} from "../live.ts"
import { Badge, Card, Empty, hue, Meter, tone } from "../ui.tsx"

export const nodeTone = (node: Node): string =>
  node.Status.State !== "ready" ? "bad" : node.Spec.Availability === "active" ? "good" : "waiting"

const Actor = ({ task }: { task: Task }) => (
  <a
    class={`actor ${tone(task)}`}
    href={`#/service/${task.ServiceID}`}
    style={{ "--hue": hue(serviceOf(task.ServiceID)?.Spec.Name ?? "") }}
    title={`${task.Name}: ${task.State}${task.Says === "" ? "" : `, ${task.Says}`}`}
  >
    <span class="unseen">{`${task.Name}, ${task.State}`}</span>
  </a>
)

function Stage({ node }: { node: Node }) {
  const here = (tasksByNode.value.get(node.ID) ?? [])
    .filter((task) => isWanted(task) || task.State === "running")
    .sort((a, b) => a.Name.localeCompare(b.Name, "en", { numeric: true }))
  return (
    <li class={`stage ${nodeTone(node)}`}>
      <a class="stage-name" href={`#/node/${node.ID}`}>
        <strong>{nodeName(node)}</strong>
        <small>
          {node.ManagerStatus?.Leader ? "leads" : node.Spec.Role}
          {node.Spec.Availability === "active" ? "" : `, ${node.Spec.Availability}`}
          {node.Status.State === "ready" ? "" : `, ${node.Status.State}`}
        </small>
      </a>
      <div class="actors">
        {here.map((task) => (
          <Actor key={task.ID} task={task} />
        ))}
        {here.length === 0 ? <span class="faint">no tasks</span> : null}
      </div>
    </li>
  )
}

export const ServiceRows = () => (
  <ul class="rows">
    {services.value.map((service) => {
      const { running, wanted } = countOf(service)
      const state = service.UpdateStatus?.State
      return (
        <li key={service.ID}>
          <a href={`#/service/${service.ID}`} class="row">
            <i class="swatch" style={{ "--hue": hue(service.Spec.Name) }} aria-hidden="true" />
            <span class="row-name">
              <strong>{service.Spec.Name}</strong>
              <small>{service.Spec.TaskTemplate.ContainerSpec?.Image?.split("@")[0]}</small>
            </span>
            {state === undefined || state === "completed" ? null : (
              <Badge tone={state.includes("paused") ? "bad" : "waiting"}>{state.replaceAll("_", " ")}</Badge>
            )}
            <span class="count">
              {running}
              <small>/{wanted}</small>
            </span>
            <Meter value={running} of={wanted} label={`${service.Spec.Name}: running tasks`} />
          </a>
        </li>
      )
    })}
  </ul>
)

export function Overview() {
  const wanted = tasks.value.filter(isWanted)
  const running = wanted.filter(({ State }) => State === "running").length
  const ready = nodes.value.filter(({ Status }) => Status.State === "ready").length
  const troubled = services.value.filter((service) => {
    const count = countOf(service)
    return count.running < count.wanted
  }).length
  const waiting = wanted.filter(({ NodeID }) => NodeID === "")
  return (
    <>
      <h1>Cluster</h1>
      <dl class="figures">
        <div>
          <dt>Nodes ready</dt>
          <dd>
            {ready}
            <small>/{nodes.value.length}</small>
          </dd>
        </div>
        <div>
          <dt>Services</dt>
          <dd>{services.value.length}</dd>
        </div>
        <div>
          <dt>Tasks running</dt>
          <dd>
            {running}
            <small>/{wanted.length}</small>
          </dd>
        </div>
        <div class={troubled > 0 ? "alarm" : ""}>
          <dt>Short of tasks</dt>
          <dd>{troubled}</dd>
        </div>
      </dl>
      <Card title="Who plays where" note={<small class="faint">one light for each task</small>}>
        <ul class="stages">
          {nodes.value.map((node) => (
            <Stage key={node.ID} node={node} />
          ))}
        </ul>
        {waiting.length === 0 ? null : (
          <p class="wings">
            <strong>{waiting.length} without a node</strong> {waiting[0]?.Says}
          </p>
        )}
      </Card>
      <Card title="Services">
        {services.value.length === 0 ? (
          <Empty>
            Nothing runs yet. <code>docker service create --name web nginx</code> makes a service.
          </Empty>
        ) : (
          <ServiceRows />
        )}
      </Card>
    </>
  )
}
