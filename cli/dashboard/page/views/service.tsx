/** One service: what it has, what becomes of it, and what can be done about it. */
import { useEffect, useState } from "preact/hooks"
import { asksForScaling } from "#actors/autoscaler/policy.ts"
import { act, mayOperate, tell } from "../api.ts"
import { many } from "../describe.ts"
import { isWanted, type Progress as JobProgress, progressOf } from "../judge.ts"
import { countOf, serviceOf, tasksOf } from "../live.ts"
import type { Service, Task } from "../objects.ts"
import { removeService, restart, rollBack, scale, setImage } from "../orders.ts"
import { ago, Badge, Card, Gone, hue, Meter, Order, Pairs, Reached, Same, sent } from "../ui.tsx"
import { Asked } from "./asked.tsx"
import { Course } from "./course.tsx"
import { EditService } from "./edit-service.tsx"
import { Logs } from "./logs.tsx"
import { Scaling } from "./scaling.tsx"
import { Tasks } from "./tasks.tsx"
import { Why } from "./why.tsx"

function Scale({ service, replicas }: { service: Service; replicas: number }) {
  const [text, setText] = useState(`${replicas}`)
  // What is true is shown, until somebody types.
  useEffect(() => setText(`${replicas}`), [replicas])
  const { Name } = service.Spec
  const asked = Number(text)
  const isGood = /^\d+$/.test(text.trim()) && asked !== replicas
  const send = (): void => {
    if (asked === 0 && !confirm(`Scale ${Name} to 0? Nothing of it runs then.`)) tell("nothing was changed")
    else void act(`${Name} is to have ${asked}`, () => scale(service.ID, asked))
  }
  return (
    <form class="image" onSubmit={sent(send)}>
      <label>
        <span>Replicas</span>
        <input
          type="number"
          min={0}
          value={text}
          disabled={!mayOperate()}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </label>
      <button type="submit" disabled={!mayOperate() || !isGood}>
        Scale
      </button>
      <Same command={`docker service scale ${Name}=${text}`} />
    </form>
  )
}

function Image({ service }: { service: Service }) {
  const now = service.Spec.TaskTemplate.ContainerSpec?.Image?.split("@")[0] ?? ""
  const [image, setTo] = useState(now)
  useEffect(() => setTo(now), [now])
  return (
    <form
      class="image"
      onSubmit={sent(
        () => void act(`${service.Spec.Name} goes over to ${image}`, () => setImage(service.ID, image))
      )}
    >
      <label>
        <span>Image</span>
        <input
          value={image}
          disabled={!mayOperate()}
          spellcheck={false}
          onInput={(event) => setTo(event.currentTarget.value)}
        />
      </label>
      <button type="submit" disabled={!mayOperate() || image === "" || image === now}>
        Update
      </button>
      <Same command={`docker service update --image ${image} ${service.Spec.Name}`} />
    </form>
  )
}

/** Tasks of the newest spec among those that are wanted: how far a rollout has come. */
function Rollout({ service, wanted }: { service: Service; wanted: ReadonlyArray<Task> }) {
  const { State: state, Message: message } = service.UpdateStatus ?? {}
  if (state === undefined) return null
  const newest = Math.max(0, ...wanted.map(({ SpecVersion }) => SpecVersion))
  const done = wanted.filter((task) => task.SpecVersion === newest && task.State === "running").length
  return (
    <div class="rollout">
      <Badge tone={state === "completed" ? "good" : state.includes("paused") ? "bad" : "waiting"}>
        {state.replaceAll("_", " ")}
      </Badge>
      <span class="faint">{message}</span>
      <Meter
        value={state === "completed" ? wanted.length : done}
        of={wanted.length}
        label="Tasks that run the newest spec"
      />
    </div>
  )
}

/** How far a job has come, and what is left of it. */
function Progress({ service, progress }: { service: Service; progress: JobProgress }) {
  const { reached, wanted, running, waiting, failures, isOver } = progress
  const { MaxConcurrent } = service.Spec.Mode.ReplicatedJob ?? {}
  const { JobIteration, LastExecution } = service.JobStatus ?? {}
  const times = (JobIteration?.Index ?? 0) + 1
  const [tone, word] = !isOver
    ? ["waiting", running > 0 ? "at work" : "waits"]
    : reached < wanted
      ? ["bad", "given up"]
      : ["good", "done"]
  return (
    <Card title="Progress" note={<Badge tone={tone}>{word}</Badge>}>
      <Meter value={reached} of={wanted} label={`${service.Spec.Name}: tasks done`} />
      <Pairs
        of={[
          [
            "Done",
            `${reached} of ${service.Spec.Mode.GlobalJob === undefined ? wanted : many(wanted, "node")}`
          ],
          [
            "Running",
            isOver
              ? ""
              : `${running}${MaxConcurrent === undefined ? "" : ` of ${MaxConcurrent} at a time at most`}`
          ],
          ["Not running yet", waiting === 0 ? "" : `${waiting}`],
          ["Failed tries", failures === 0 ? "" : `${failures}`],
          ["Begun", LastExecution === undefined ? "" : `${ago(LastExecution)} ago`],
          ["Times begun", times === 1 ? "" : `${times}`]
        ]}
      />
      <Same command={`docker service ps ${service.Spec.Name}`} />
    </Card>
  )
}

const modes: Readonly<Record<string, string>> = {
  Replicated: "replicated",
  Global: "global",
  ReplicatedJob: "replicated job",
  GlobalJob: "global job"
}

export function ServicePage({ id }: { id: string }) {
  const service = serviceOf(id)
  if (service === undefined) return <Gone what="service" home={["#/", "Cluster"]} id={id} />
  const { Spec } = service
  const all = [...tasksOf(service)].sort(
    (a, b) => Number(isWanted(b)) - Number(isWanted(a)) || a.Slot - b.Slot || b.At.localeCompare(a.At)
  )
  const found = countOf(service)
  const progress = progressOf(service, all)
  const replicas = Spec.Mode.Replicated?.Replicas
  const ports = service.Endpoint?.Ports ?? []
  return (
    <>
      <p class="trail">
        <a href="#/">Cluster</a>
      </p>
      <h1>
        <i class="swatch large" style={{ "--hue": hue(Spec.Name) }} aria-hidden="true" />
        {Spec.Name}
        <Reached {...found} />
      </h1>
      <p class="facts">
        <span>{modes[Object.keys(Spec.Mode)[0] ?? ""]}</span>
        {ports.map((port) => (
          <span key={port.PublishedPort}>
            {port.PublishedPort} to {port.TargetPort}/{port.Protocol ?? "tcp"}
          </span>
        ))}
        <code>{id}</code>
      </p>
      <Rollout service={service} wanted={all.filter(isWanted)} />
      <Why key={`why ${id}`} service={service} />
      <div class="columns">
        {progress === undefined ? null : <Progress service={service} progress={progress} />}
        <Card title="Direct">
          {replicas === undefined ? null : <Scale service={service} replicas={replicas} />}
          <Image service={service} />
          <div class="orders">
            <EditService key={`edit ${id}`} service={service} />
            <Order
              label={progress === undefined ? "Restart" : "Run again"}
              command={`docker service update --force ${Spec.Name}`}
              did={`${Spec.Name} ${progress === undefined ? "restarts, task by task" : "begins anew"}`}
              {...(progress?.isOver === false && {
                sure: `Begin ${Spec.Name} anew? What of it runs is stopped, and what is done counts no more.`
              })}
              onAct={() => restart(id)}
            />
            <Order
              label="Roll back"
              command={`docker service rollback ${Spec.Name}`}
              did={`${Spec.Name} goes back to what it was`}
              disabled={service.PreviousSpec === undefined}
              onAct={() => rollBack(id)}
            />
            <Order
              label="Remove"
              kind="danger"
              command={`docker service rm ${Spec.Name}`}
              did={`${Spec.Name} is removed`}
              sure={`Remove ${Spec.Name} and all its tasks?`}
              onAct={() => removeService(id)}
            />
          </div>
        </Card>
        {asksForScaling(Spec) ? <Scaling key={id} id={id} name={Spec.Name} /> : null}
        <Asked key={`asked by ${id}`} service={service} />
        <Course kind="service" id={id} />
      </div>
      <Tasks key={`tasks of ${id}`} tasks={all} note={`${all.length} with those of the past`} of="service" />
      <Logs key={id} id={id} name={Spec.Name} />
    </>
  )
}
