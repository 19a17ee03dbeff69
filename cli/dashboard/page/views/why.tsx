/** Why a service is not as it should be, as `troupe why` tells it, and what would help. */
import { useState } from "preact/hooks"
import type { WhyService, WhyTask } from "#cli/print/why.ts"
import { problems } from "../live.ts"
import type { Service } from "../objects.ts"
import { usePolled } from "../poll.ts"
import { ago, Card, Same } from "../ui.tsx"

const everyMs = 5_000

export function Why({ service }: { service: Service }) {
  const [found, setFound] = useState<WhyService>()
  usePolled<WhyService>(`/why/${service.ID}`, everyMs, (next) => setFound(next))
  const own = problems.value.filter(({ go }) => go === `#/service/${service.ID}`)
  const { Tasks = [], Warnings = [], Ended = [] } = found ?? {}
  const waiting = Tasks.filter(({ Diagnosis }) => Diagnosis !== undefined)
  if (own.length === 0 && waiting.length === 0 && Warnings.length === 0) return null
  const isFailing = own.some(({ what }) => /fails|paused|failed/.test(what))
  return (
    <Card title="What is wrong">
      {own.map(({ what, why, since }) => (
        <p key={what} class="problem">
          <strong class="error">{what}</strong>
          {since === undefined ? null : <small> for {ago(since)}</small>}
          {why === "" ? null : <span class="says"> {why}</span>}
        </p>
      ))}
      {Warnings.map((warning) => (
        <p key={warning}>{warning}</p>
      ))}
      {waiting.map((task) => (
        <Waiting key={task.ID} task={task} />
      ))}
      {own.length === 0 || Ended.length === 0 ? null : (
        <ul class="ends">
          {Ended.map(({ ID, Name, Node, State, Says, At, Alike = 0 }) => (
            <li key={ID}>
              <a href={`#/task/${ID}`}>{Name.replace(`.${ID}`, "")}</a>
              {Alike > 0 ? ` and ${Alike} alike` : ""} {State} on {Node ?? "no node"} {ago(At)} ago: {Says}
            </li>
          ))}
        </ul>
      )}
      {isFailing ? (
        <p class="faint">
          What its last tasks wrote is below, under Output.
          {service.PreviousSpec === undefined
            ? ""
            : " Roll back takes it to what it was before its last change."}
        </p>
      ) : null}
      <Same command={`troupe why ${service.Spec.Name}`} />
    </Card>
  )
}

/** What each kind of node lacks, and the least that would help. */
export function Waiting({ task: { Name, ID, Alike = 0, Diagnosis } }: { task: WhyTask }) {
  const { TurnedAway = [], Suitable = [], Changes = [] } = Diagnosis ?? {}
  return (
    <>
      <p>
        <a href={`#/task/${ID}`}>{Name.replace(`.${ID}`, "")}</a>
        {Alike > 0 ? ` and ${Alike} alike` : ""} found no node:
      </p>
      <ul class="ends">
        {TurnedAway.map(({ Filter, Reason, Nodes }) => (
          <li key={`${Filter} ${Reason}`}>
            {Reason}{" "}
            <small>
              ({Nodes.slice(0, 5).join(", ") + (Nodes.length > 5 ? ` and ${Nodes.length - 5} more` : "")})
            </small>
          </li>
        ))}
      </ul>
      {Suitable.length > 0 ? <p>It is about to be placed on {Suitable.slice(0, 5).join(", ")}.</p> : null}
      {Changes.length === 0 ? null : (
        <>
          <p>The smallest change that would help:</p>
          {Changes.map((change) => (
            <p key={change}>
              <code>{change}</code>
            </p>
          ))}
        </>
      )}
    </>
  )
}
