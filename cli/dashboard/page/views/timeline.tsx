/** What happened in the cluster, and who asked for what at this node's address, newest first. */
import { audit, clock, events } from "../live.ts"
import { Badge, Card, Empty } from "../ui.tsx"

export const Timeline = () => (
  <>
    <h1>Timeline</h1>
    <div class="columns">
      <Card title="Events" note={<small class="faint">docker events</small>}>
        {events.value.length === 0 ? <Empty>Nothing has happened yet.</Empty> : null}
        <ol class="timeline">
          {[...events.value].reverse().map(({ Type, Action, Actor, timeNano }, at) => (
            <li key={events.value.length - at}>
              <time>{clock(timeNano / 1e6)}</time>
              <Badge tone={Action === "create" ? "good" : Action === "remove" ? "bad" : "done"}>
                {Type} {Action}
              </Badge>
              <strong>{Actor.Attributes.name ?? Actor.ID}</strong>
              <small class="faint">
                {Object.entries(Actor.Attributes)
                  .filter(([key]) => key !== "name")
                  .map(([key, value]) => `${key} ${value}`)
                  .join(", ")}
              </small>
            </li>
          ))}
        </ol>
      </Card>
      <Card title="Audit" note={<small class="faint">audit.log</small>}>
        {audit.value.length === 0 ? <Empty>Nobody has asked for a change here yet.</Empty> : null}
        <ol class="timeline">
          {[...audit.value].reverse().map((line, at) => (
            <li key={audit.value.length - at}>
              <time>{clock(Date.parse(line.at))}</time>
              <Badge tone={line.refused === undefined ? "good" : "bad"}>{line.status}</Badge>
              <strong>{line.who}</strong>
              <code>{line.did ?? `${line.method} ${line.path}`}</code>
              {line.refused === undefined ? null : <small>{line.refused}</small>}
            </li>
          ))}
        </ol>
      </Card>
    </div>
  </>
)
