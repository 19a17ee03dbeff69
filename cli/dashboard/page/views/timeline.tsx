/** What happened in the cluster, and who asked for what at this node, newest first. */
import { useState } from "preact/hooks"
import { audit, type ClusterEvent, clock, events } from "../live.ts"
import { Badge, Card, Empty, Moments, Search } from "../ui.tsx"

/** With its day, unless that is today. */
function moment(ms: number): string {
  const date = new Date(ms)
  const isToday = date.toDateString() === new Date().toDateString()
  return isToday ? clock(ms) : `${date.toLocaleDateString()} ${clock(ms)}`
}

const detailsOf = ({ Actor }: ClusterEvent): string =>
  Object.entries(Actor.Attributes)
    .filter(([key]) => key !== "name")
    .map(([key, value]) => `${key} ${value}`)
    .join(", ")

function Name({ event: { Type, Action, Actor } }: { event: ClusterEvent }) {
  const name = <strong>{Actor.Attributes.name ?? Actor.ID}</strong>
  const hasPage = (Type === "service" || Type === "node") && Action !== "remove"
  return hasPage ? <a href={`#/${Type}/${Actor.ID}`}>{name}</a> : name
}

export function Timeline() {
  const [text, setText] = useState("")
  const wish = text.trim().toLowerCase()
  const fits = (...words: ReadonlyArray<string | undefined>): boolean =>
    words.join(" ").toLowerCase().includes(wish)
  const happened = events.value
    .filter((event) =>
      fits(event.Type, event.Action, event.Actor.Attributes.name, event.Actor.ID, detailsOf(event))
    )
    .reverse()
  const asked = audit.value
    .filter(({ who, did, method, path, refused }) => fits(who, did, method, path, refused))
    .reverse()
  return (
    <>
      <h1>Timeline</h1>
      <p>
        <Search label="Search the timeline" placeholder="name, action, who" text={text} onText={setText} />
      </p>
      <div class="columns">
        <Card title="Events" note={<small class="faint">docker events</small>}>
          {happened.length === 0 ? (
            <Empty>{wish === "" ? "Nothing has happened yet." : "Nothing that fits the search."}</Empty>
          ) : null}
          <Moments label="Events">
            {happened.map((event, at) => (
              <li key={happened.length - at}>
                <time>{moment(event.timeNano / 1e6)}</time>
                <Badge tone={event.Action === "create" ? "good" : event.Action === "remove" ? "bad" : "done"}>
                  {event.Type} {event.Action}
                </Badge>
                <Name event={event} />
                <small class="faint">{detailsOf(event)}</small>
              </li>
            ))}
          </Moments>
        </Card>
        <Card title="Audit" note={<small class="faint">audit.log</small>}>
          {asked.length === 0 ? (
            <Empty>
              {wish === "" ? "Nobody has asked this node for a change yet." : "Nothing that fits the search."}
            </Empty>
          ) : null}
          <Moments label="Audit">
            {asked.map((line, at) => (
              <li key={asked.length - at}>
                <time>{moment(Date.parse(line.at))}</time>
                <Badge tone={line.refused === undefined ? "good" : "bad"}>{line.status}</Badge>
                <strong>{line.who}</strong>
                <code>{line.did ?? `${line.method} ${line.path}`}</code>
                {line.refused === undefined ? null : <small>{line.refused}</small>}
              </li>
            ))}
          </Moments>
        </Card>
      </div>
    </>
  )
}
