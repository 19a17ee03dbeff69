/** Networks, volumes, secrets and configs: who uses each, and how one is made and removed. */
import { signal } from "@preact/signals"
import { useState } from "preact/hooks"
import { quoted } from "#actors/model/shell-word.ts"
import { call, mayAdminister, mayOperate, tell } from "../api.ts"
import { hasEnded } from "../judge.ts"
import { nodeName, nodeOf, services, tasks } from "../live.ts"
import type { Task } from "../objects.ts"
import { setAvailability } from "../orders.ts"
import { usePolled } from "../poll.ts"
import {
  availabilities,
  bodyOf,
  commandOf,
  type Draft,
  emptyDraft,
  isUsedBy,
  type Kind,
  kinds,
  pathOf,
  type Resource,
  readResources
} from "../resources.ts"
import { saidOf } from "../said.ts"
import { ago, Badge, Card, Empty, Gone, Order, Pairs, Same, Search, sent, Table } from "../ui.tsx"
import { Field } from "./field.tsx"
import { Foot, useSending } from "./form.tsx"

export const titleOfResource = signal("")

const everyMs = 5_000
const upper = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1)
/** A volume's driver may reach all of its machine. */
const mayChange = (kind: Kind): boolean => (kind === "volume" ? mayAdminister() : mayOperate())

/** `undefined` until they are known. */
export function useResources(kind: Kind, again = 0, askedMs = everyMs): ReadonlyArray<Resource> | undefined {
  const [found, setFound] = useState<ReadonlyArray<Resource>>()
  usePolled<unknown>(
    pathOf[kind],
    askedMs,
    (body) => body !== undefined && setFound(readResources(kind, body)),
    again
  )
  return found
}

const about: Readonly<Record<Kind, string>> = {
  network: "Services of one network reach each other by name, on whatever nodes they run.",
  volume: "Of this node, and those that a plugin keeps for the whole cluster.",
  secret: "Given to tasks as files in memory. What one holds is shown to nobody.",
  config: "Given to tasks as files."
}

const Tabs = ({ kind }: { kind: Kind }) => (
  <nav class="tabs" aria-label="Kinds of resources">
    {kinds.map((one) => (
      <a key={one} href={`#/${one}s`} aria-current={one === kind ? "page" : undefined}>
        {upper(one)}s
      </a>
    ))}
  </nav>
)

const Links = ({ of }: { of: ReadonlyArray<readonly [go: string, name: string]> }) =>
  of.length === 0 ? (
    <span class="faint">nobody</span>
  ) : (
    of.map(([go, name], at) => (
      <span key={go}>
        {at === 0 ? "" : ", "}
        <a href={go}>{name}</a>
      </span>
    ))
  )

const Users = ({ of }: { of: Resource }) => (
  <Links
    of={services.value
      .filter((service) => isUsedBy(of, service))
      .map(({ ID, Spec }) => [`#/service/${ID}`, Spec.Name])}
  />
)

export function Resources({ kind }: { kind: Kind }) {
  const [again, setAgain] = useState(0)
  const [text, setText] = useState("")
  const all = useResources(kind, again)
  const wish = text.trim().toLowerCase()
  const shown = (all ?? []).filter(({ name }) => name.toLowerCase().includes(wish))
  return (
    <>
      <h1>{upper(kind)}s</h1>
      <Tabs kind={kind} />
      <p class="faint">{about[kind]}</p>
      <Card
        note={<Search label={`Search for ${kind}s`} placeholder="name" text={text} onText={setText} />}
        title={`All ${kind}s`}
      >
        {all === undefined ? null : shown.length === 0 ? (
          <Empty>
            {all.length === 0
              ? `There are no ${kind}s yet: make one below.`
              : `None of ${all.length} fits that.`}
          </Empty>
        ) : (
          <Table
            label={`${upper(kind)}s`}
            columns={["Name", ...(kind === "secret" ? [] : ["What"]), "Used by", "Age"]}
          >
            {shown.map((one) => (
              <tr key={one.id} class={one.isOwn ? "past" : ""}>
                <th scope="row">
                  <a href={`#/${kind}/${encodeURIComponent(one.id)}`}>{one.name}</a>
                </th>
                {kind === "secret" ? null : <td>{one.about}</td>}
                <td class="says">{one.isOwn && !one.isMesh ? "" : <Users of={one} />}</td>
                <td class="faint">{one.at === undefined ? "" : ago(one.at)}</td>
              </tr>
            ))}
          </Table>
        )}
        <Same command={`docker ${kind} ls`} />
      </Card>
      <Make key={kind} kind={kind} onMade={() => setAgain(again + 1)} />
    </>
  )
}

/** By words of the gateway that tell of a field. */
const hints: ReadonlyArray<readonly [field: keyof Draft, words: RegExp]> = [
  ["subnet", /subnet|ipam|gateway/i],
  ["encrypted", /encrypted/],
  ["text", /data must be/],
  ["driver", /driver|plugin/i],
  ["labels", /label/],
  ["name", /name|exists|pre-defined|volume/i]
]

function Make({ kind, onMade }: { kind: Kind; onMade: () => void }) {
  const [draft, setDraft] = useState(emptyDraft)
  const { said, isBusy, send } = useSending(({ message }) => saidOf(message, hints))
  const may = mayChange(kind)
  const change = (more: Partial<Draft>): void => setDraft({ ...draft, ...more })
  const make = async (): Promise<void> => {
    await call("POST", `${pathOf[kind]}/create`, bodyOf(kind, draft))
    tell(`${kind} ${draft.name} is made`)
    setDraft(emptyDraft)
    onMade()
  }
  const own = { draft, change, said, disabled: !may }
  return (
    <Card title={`Make a ${kind}`}>
      <form class="fields" onSubmit={sent(() => void send(make))}>
        <Field {...own} name="name" label="Name" />
        {kind === "network" ? (
          <>
            <Field {...own} name="subnet" label="Subnet" placeholder="one is found" />
            <fieldset class="ticks">
              <legend>It is</legend>
              <Field {...own} name="attachable" label="attachable: containers join it by docker run" />
              <Field {...own} name="internal" label="internal: no way out of it" />
              <Field {...own} name="encrypted" label="encrypted between nodes" />
            </fieldset>
          </>
        ) : kind === "volume" ? (
          <>
            <Field {...own} name="driver" label="Driver" placeholder="local" />
            <Field {...own} name="options" label="Options" placeholder="type=tmpfs, a line each" rows={2} />
          </>
        ) : (
          <Field {...own} name="text" label="Contents" rows={5} />
        )}
        <Field {...own} name="labels" label="Labels" placeholder="KEY=VALUE, a line each" rows={2} />
        <Foot
          said={said}
          label="Make it"
          title={`make the ${kind}`}
          may={may}
          isReady={!isBusy && draft.name.trim() !== ""}
          command={commandOf(kind, draft)}
        />
      </form>
    </Card>
  )
}

interface Verbose {
  readonly Services?: Readonly<
    Record<
      string,
      {
        readonly VIP?: string
        readonly Tasks?: ReadonlyArray<{
          readonly Name: string
          readonly EndpointIP: string
          readonly Info?: Readonly<Record<string, string>>
        }> | null
      }
    >
  > | null
}

export function ResourcePage({ kind, id }: { kind: Kind; id: string }) {
  const [again, setAgain] = useState(0)
  const all = useResources(kind, again)
  const found = all?.find((one) => one.id === id || one.name === id)
  titleOfResource.value = found?.name ?? `no such ${kind}`
  if (all === undefined) return null
  if (found === undefined) return <Gone what={kind} home={[`#/${kind}s`, `${upper(kind)}s`]} id={id} />
  const { name, isOwn, facts, at, text, cluster } = found
  const users = cluster === undefined ? [] : tasks.value.filter((task) => holds(task, found.id))
  return (
    <>
      <p class="trail">
        <a href={`#/${kind}s`}>{upper(kind)}s</a>
      </p>
      <h1>{name}</h1>
      <p class="facts">
        <span>{kind}</span>
        {found.id === name ? null : <code>{found.id}</code>}
      </p>
      <div class="columns">
        <Card
          title="What it is"
          note={at === undefined ? null : <small class="faint">made {new Date(at).toLocaleString()}</small>}
        >
          <Pairs of={[...facts, ["Used by", <Users key="users" of={found} />]]} />
          <Same command={`docker ${kind} inspect ${name}`} />
        </Card>
        <Card title="Direct">
          <div class="orders">
            {cluster === undefined ? null : (
              <Availability
                volume={found}
                now={cluster.availability}
                users={users.length}
                onChanged={() => setAgain(again + 1)}
              />
            )}
            <Order
              label="Remove"
              kind="danger"
              command={`docker ${kind} rm ${quoted(name)}`}
              did={`${kind} ${name} is removed`}
              may={mayChange(kind)}
              disabled={isOwn}
              sure={`Remove the ${kind} ${name}${kind === "volume" ? " with all that is on it" : ""}?`}
              onAct={async () => {
                await call("DELETE", `${pathOf[kind]}/${encodeURIComponent(found.id)}`)
                location.hash = `#/${kind}s`
              }}
            />
          </div>
          {isOwn ? <p class="faint">It is the Engine's or the cluster's own, and stays.</p> : null}
        </Card>
      </div>
      {cluster === undefined ? null : <Published of={cluster.published} users={users} />}
      {kind === "network" ? <Addresses id={id} /> : null}
      {text === undefined ? null : (
        <Card title="Contents">
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard */}
          <pre class="log" tabIndex={0}>
            {text}
          </pre>
        </Card>
      )}
    </>
  )
}

/** Until it has ended. */
const holds = ({ Volumes = [], State }: Task, volume: string): boolean =>
  Volumes.includes(volume) && !hasEnded(State)

const did: Readonly<Record<(typeof availabilities)[number], readonly [label: string, did: string]>> = {
  active: ["Activate", "is given to tasks again"],
  pause: ["Pause", "is given to no new tasks"],
  drain: ["Drain", "is drained"]
}

/** Whether tasks are given a volume of the cluster's, and keep it. */
const Availability = (props: {
  readonly volume: Resource
  readonly now: string
  readonly users: number
  readonly onChanged: () => void
}) => {
  const { volume, now, users, onChanged } = props
  const { id, name } = volume
  return (
    <>
      {availabilities.map((to) => (
        <Order
          key={to}
          label={did[to][0]}
          command={`docker volume update --availability ${to} ${quoted(name)}`}
          did={`${name} ${did[to][1]}`}
          may={mayChange("volume")}
          disabled={now === to}
          {...(to === "drain" && {
            sure: `Drain ${name}? Tasks that use it, ${users} now, are ended and wait until it is active again.`
          })}
          onAct={async () => {
            await setAvailability(id, to)
            onChanged()
          }}
        />
      ))}
    </>
  )
}

/** On which nodes a volume of the cluster's is, and who uses it there. */
const Published = (props: {
  readonly of: ReadonlyArray<{ readonly NodeID: string; readonly State: string }>
  readonly users: ReadonlyArray<Task>
}) => (
  <Card title="Where it is">
    {props.of.length === 0 ? (
      <Empty>On no node: it is published to one when a task there is given it.</Empty>
    ) : (
      <Table label="Where it is" columns={["Node", "State", "Tasks"]}>
        {props.of.map(({ NodeID, State }) => (
          <tr key={NodeID}>
            <th scope="row">
              <a href={`#/node/${NodeID}`}>{nodeName(nodeOf(NodeID))}</a>
            </th>
            <td>
              <Badge tone={State === "published" ? "good" : "waiting"}>{State.replaceAll("-", " ")}</Badge>
            </td>
            <td class="says">
              <Links
                of={props.users
                  .filter((task) => task.NodeID === NodeID)
                  .map(({ ID, Name }) => [`#/task/${ID}`, Name])}
              />
            </td>
          </tr>
        ))}
      </Table>
    )}
  </Card>
)

/** Who has which address on a network, over all nodes. */
function Addresses({ id }: { id: string }) {
  const [found, setFound] = useState<Verbose>()
  usePolled<Verbose>(`/networks/${id}?verbose=true`, everyMs, (next) => next && setFound(next))
  const rows = Object.entries(found?.Services ?? {}).flatMap(([service, { VIP = "", Tasks }]) => [
    ...(VIP === "" || service === ""
      ? []
      : [
          {
            name: service,
            address: VIP,
            where: "all its tasks",
            go: `#/service/${services.value.find(({ Spec }) => Spec.Name === service)?.ID ?? ""}`
          }
        ]),
    ...(Tasks ?? []).map(({ Name, EndpointIP }) => {
      const task = tasks.value.find(({ ID }) => Name.endsWith(`.${ID}`))
      return {
        name: task?.Name ?? Name,
        address: EndpointIP,
        where: task === undefined ? "" : nodeName(nodeOf(task.NodeID)),
        go: task === undefined ? "" : `#/task/${task.ID}`
      }
    })
  ])
  return (
    <Card title="Addresses">
      {rows.length === 0 ? (
        <Empty>
          Nobody is on it. <code>docker service update --network-add …</code> puts a service there.
        </Empty>
      ) : (
        <Table label="Addresses" columns={["Who", "Address", "Where"]}>
          {rows.map(({ name, address, where, go }) => (
            <tr key={`${name} ${address}`}>
              <th scope="row">{go === "" ? name : <a href={go}>{name}</a>}</th>
              <td class="number">{address}</td>
              <td>{where}</td>
            </tr>
          ))}
        </Table>
      )}
    </Card>
  )
}
