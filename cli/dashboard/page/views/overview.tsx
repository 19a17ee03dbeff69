/** The cluster at a glance: what runs where, drawn as it changes. */
import { signal } from "@preact/signals"
import { useState } from "preact/hooks"
import { isWanted, type Problem } from "../judge.ts"
import { countOf, nodeName, nodes, problems, serviceOf, services, tasks, tasksByNode } from "../live.ts"
import type { Node, Service, Task } from "../objects.ts"
import { ago, Badge, Card, Empty, hue, Meter, Reached, Search, tone } from "../ui.tsx"

export const nodeTone = (node: Node): string =>
  node.Status.State !== "ready" ? "bad" : node.Spec.Availability === "active" ? "good" : "waiting"

const Actor = ({ task }: { task: Task }) => (
  <a
    class={`actor ${tone(task)}`}
    href={`#/task/${task.ID}`}
    // There may be hundreds; the node's page has them as a table.
    tabIndex={-1}
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
          {node.ManagerStatus?.Leader ? "leader" : node.Spec.Role}
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

const ServiceRows = ({ services }: { services: ReadonlyArray<Service> }) => (
  <ul class="rows">
    {services.map((service) => {
      const found = countOf(service)
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
            <Reached {...found} />
            <Meter
              value={found.reached}
              of={found.wanted}
              label={`${service.Spec.Name}: tasks ${found.word}`}
            />
          </a>
        </li>
      )
    })}
  </ul>
)

const mostAtFirst = 10

function Wrong({ problems }: { problems: ReadonlyArray<Problem> }) {
  const [isWhole, setWhole] = useState(false)
  if (problems.length === 0) return null
  const shown = isWhole ? problems : problems.slice(0, mostAtFirst)
  const more = problems.length - shown.length
  return (
    <Card title="What is wrong" note={<code class="faint">troupe alerts</code>}>
      <ul class="rows">
        {shown.map(({ go, name, what, why, since }) => (
          <li key={`${go} ${what}`}>
            <a href={go} class="row">
              <span class="row-name">
                <strong>{name}</strong>
                <small class="whole">{why}</small>
              </span>
              <Badge tone="bad">{what}</Badge>
              <small class="since">{since === undefined ? "" : `for ${ago(since)}`}</small>
            </a>
          </li>
        ))}
      </ul>
      {more <= 0 ? null : (
        <button type="button" class="quiet" onClick={() => setWhole(true)}>
          {more} more
        </button>
      )}
    </Card>
  )
}

/** More are found by name; a page of all would be long to draw and to look through. */
const mostServices = 100

// It outlives the page: whoever comes back from a service finds what was searched for.
const searched = signal("")

function Services() {
  const wish = searched.value.trim().toLowerCase()
  const all = services.value
  const fitting = all.filter(({ Spec: { Name, TaskTemplate } }) =>
    `${Name} ${TaskTemplate.ContainerSpec?.Image ?? ""}`.toLowerCase().includes(wish)
  )
  const shown = fitting.slice(0, mostServices)
  if (all.length === 0)
    return (
      <Card title="Services">
        <Empty>
          Nothing runs yet. <a href="#/create">Create a service</a>, or{" "}
          <code>docker service create --name web nginx</code>.
        </Empty>
      </Card>
    )
  return (
    <Card
      title="Services"
      note={
        <div class="choices">
          <a class="button" href="#/create">
            Create
          </a>
          <Search
            label="Search for services"
            placeholder="name or image"
            text={searched.value}
            onText={(text) => (searched.value = text)}
          />
        </div>
      }
    >
      <ServiceRows services={shown} />
      {fitting.length === 0 ? <Empty>None of {all.length} services fits that.</Empty> : null}
      {fitting.length > shown.length ? (
        <Empty>
          {shown.length} of {fitting.length} are shown: search for others.
        </Empty>
      ) : null}
    </Card>
  )
}

export function Overview() {
  const wanted = tasks.value.filter((task) => isWanted(task) && task.State !== "complete")
  const running = wanted.filter(({ State }) => State === "running").length
  const ready = nodes.value.filter(({ Status }) => Status.State === "ready").length
  const waiting = wanted.filter(({ NodeID }) => NodeID === "").length
  const wrong = problems.value.length
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
        <div class={wrong > 0 ? "alarm" : ""}>
          <dt>Problems</dt>
          <dd>{wrong}</dd>
        </div>
      </dl>
      <Wrong problems={problems.value} />
      <Card title="Who plays where" note={<small class="faint">one light for each task</small>}>
        <ul class="stages">
          {nodes.value.map((node) => (
            <Stage key={node.ID} node={node} />
          ))}
        </ul>
        {waiting === 0 ? null : (
          <p class="wings">
            <strong>{waiting} without a node</strong>
          </p>
        )}
      </Card>
      <Services />
    </>
  )
}
