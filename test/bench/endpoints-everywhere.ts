/**
 * How soon every node of a lab of three goes by a change of endpoints, where many services are published: a task of a
 * service of two is killed, and another one takes its place; each time of another service, because one that fails again and
 * again is made to wait. From the time of the ledger's entry until names are answered by it, the kernel's rules for the
 * virtual address and the published port have it, and a connection to that node's port gets to the new task. Needs Linux,
 * root and nothing else that runs:
 *
 *     bun test/bench/endpoints-everywhere.ts [--services 200] [--running 40] [--changes 30]
 *
 * Ends with 1 where names or rules take more than 300 ms in one of a hundred changes.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process"
import { loadavg } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { createInterface } from "node:readline"
import type { Readable, Writable } from "node:stream"
import { setTimeout as pause } from "node:timers/promises"
import { parseArgs } from "node:util"
import { table } from "#cli/print/table.ts"
import type { Sight } from "#test/bench/endpoints-everywhere/watch.ts"
import type { NodeView } from "#test/bench/vs-swarm/api.ts"
import { ownLab } from "#test/lab/own-lab.ts"
import { whenInterrupted } from "#test/support/interrupted.ts"

const { values } = parseArgs({
  options: {
    services: { type: "string", default: "200" },
    running: { type: "string", default: "40" },
    changes: { type: "string", default: "30" }
  }
})
const [services, withTask, changes] = [values.services, values.running, values.changes].map(Number) as [
  number,
  number,
  number
]
const mostMs = 300
const port = 80
/** Services of two, of which tasks are killed in turn. */
const moving = 10
const firstPublished = 20_000
/** Another look at the kernel may be under way at any time of these. */
const betweenLooksMs = 2_000

const lab = await ownLab("te", "10.87.0")
const { call, elapsed, running, specOf } = await import("#test/bench/vs-swarm/api.ts")
const { engineOf, namespaceOf } = await import("#test/lab/machines.ts")
const { root } = await import("#test/lab/engine.ts")

async function create(name: string, replicas: number, published?: number, mode?: object): Promise<string> {
  const spec = specOf(name, replicas)
  const { ID } = await call<{ ID: string }>(lab.door(), "POST", "/services/create", {
    ...spec,
    Mode: mode ?? spec.Mode,
    TaskTemplate: {
      ...spec.TaskTemplate,
      ContainerSpec: {
        ...spec.TaskTemplate.ContainerSpec,
        Command: ["nc", "-ll", "-p", `${port}`, "-e", "hostname"]
      },
      Networks: [{ Target: "front" }]
    },
    ...(published !== undefined && {
      EndpointSpec: { Ports: [{ Protocol: "tcp", TargetPort: port, PublishedPort: published }] }
    })
  })
  return ID
}

interface TaskView {
  readonly ID: string
  readonly NodeID: string
  readonly Status: { readonly State: string; readonly ContainerStatus?: { readonly ContainerID: string } }
  readonly NetworksAttachments?: ReadonlyArray<{
    readonly Network: { readonly Spec: { readonly Name: string } }
    readonly Addresses: ReadonlyArray<string>
  }>
}

/** By how each way of looking knows it. */
interface Endpoint {
  readonly id: string
  readonly nodeId: string
  readonly front: string
  readonly ingress: string
  readonly container: string
}

const endpointOf = ({ ID, NodeID, Status, NetworksAttachments = [] }: TaskView): Endpoint => {
  const on = (name: string): string =>
    NetworksAttachments.find(({ Network }) => Network.Spec.Name === name)?.Addresses[0]?.split("/")[0] ?? ""
  return {
    id: ID,
    nodeId: NodeID,
    front: on("front"),
    ingress: on("ingress"),
    container: Status.ContainerStatus?.ContainerID.slice(0, 12) ?? ""
  }
}

interface Watcher {
  readonly process: ChildProcessByStdio<Writable, Readable, null>
  readonly sights: Array<Sight>
}

function watch(namespace: string, ...args: ReadonlyArray<string>): Watcher {
  const program = join(root, "test/bench/endpoints-everywhere/watch.ts")
  const own = spawn("nsenter", [`--net=${namespace}`, process.execPath, program, ...args], {
    stdio: ["pipe", "pipe", "inherit"]
  })
  const sights: Array<Sight> = []
  createInterface(own.stdout).on("line", (line) => void sights.push(JSON.parse(line)))
  return { process: own, sights }
}

/** Of one machine. */
interface Watchers {
  readonly names: Watcher
  readonly rules: Watcher
  readonly doors: Watcher
}
const watchers: Array<Watchers> = []

/** On every machine: in the network of a container there, and in its own. */
async function watchAll(chains: ReadonlyArray<string>): Promise<void> {
  for (const machine of lab.machines()) {
    const id = await lab.containerOn(machine, "asker")
    const { State } = await call<{ readonly State: { readonly Pid: number } }>(
      engineOf(machine.name),
      "GET",
      `/containers/${id}/json`
    )
    const resolv = (await lab.inside("asker", machine, "cat", "/etc/resolv.conf")).text
    const server = resolv.match(/nameserver (\S+)/)?.[1] ?? ""
    const own = `/run/netns/${namespaceOf(machine.name)}`
    watchers.push({
      names: watch(`/proc/${State.Pid}/ns/net`, "names", server),
      rules: watch(own, "rules", ...chains),
      doors: watch(own, "doors", machine.address)
    })
  }
}

/** One of the services, as each way of looking at it knows it. */
interface Moving {
  readonly name: string
  readonly dnsName: string
  readonly published: number
  readonly vipChain: string
  readonly portChain: string
}

interface Way {
  readonly title: string
  readonly sights: (of: Watchers, service: Moving) => ReadonlyArray<Sight>
  readonly known: (endpoint: Endpoint) => string
  /** All that there are are seen each time, so that it is seen, too, that one is gone. */
  readonly isWhole: boolean
}

const seenBy = ({ sights }: Watcher, way: string): ReadonlyArray<Sight> =>
  sights.filter((sight) => sight.way === way)

const ways: ReadonlyArray<Way> = [
  {
    title: "names",
    sights: ({ names }, { dnsName }) => seenBy(names, dnsName),
    known: ({ front }) => front,
    isWhole: true
  },
  {
    title: "virtual address",
    sights: ({ rules }, { vipChain }) => seenBy(rules, vipChain),
    known: ({ front }) => front,
    isWhole: true
  },
  {
    title: "published port",
    sights: ({ rules }, { portChain }) => seenBy(rules, portChain),
    known: ({ ingress }) => ingress,
    isWhole: true
  },
  {
    title: "a connection",
    sights: ({ doors }) => seenBy(doors, "doors"),
    known: ({ container }) => container,
    isWhole: false
  }
]

interface Change {
  readonly service: Moving
  readonly gone: Endpoint
  readonly come: Endpoint
}

const endpointsOf = async ({ name }: Moving): Promise<ReadonlyArray<Endpoint>> =>
  ((await running(lab.door(), name)) as unknown as ReadonlyArray<TaskView>).map(endpointOf)

/** Kills one of its two tasks, and waits until every machine knows of the other that came. */
async function change(service: Moving, at: number): Promise<Change> {
  const before = await endpointsOf(service)
  const gone = before[at % before.length] as Endpoint
  for (const { names, doors } of watchers) {
    names.process.stdin.write(`${service.dnsName}\n`)
    doors.process.stdin.write(`${service.published}\n`)
  }
  await elapsed("its names being looked at", async () =>
    watchers.every(({ names }) => seenBy(names, service.dnsName).at(-1)?.values.length === before.length)
  )
  const nodes = await call<ReadonlyArray<NodeView>>(lab.door(), "GET", "/nodes")
  const machine = nodes.find(({ ID }) => ID === gone.nodeId)?.Description.Hostname ?? ""
  await call(engineOf(machine), "POST", `/containers/${gone.container}/kill`)
  let come: Endpoint | undefined
  const has = (own: Watchers, { sights, known }: Way): boolean =>
    sights(own, service).some(({ values: seen }) => come !== undefined && seen.includes(known(come)))
  const isKnown = async (): Promise<boolean> => {
    come ??= (await endpointsOf(service)).find(({ id }) => before.every((other) => other.id !== id))
    if (come === undefined) return false
    return watchers.every((own) => ways.every((way) => has(own, way)))
  }
  await elapsed(`another task of ${service.name} being known everywhere`, isKnown, 50, 30_000)
  for (const { doors } of watchers) doors.process.stdin.write("0\n")
  return { service, gone, come: come as unknown as Endpoint }
}

interface Recorded {
  readonly Kind: string
  readonly ID: string
  readonly Time: string
  readonly Changed: ReadonlyArray<{
    readonly Field: string
    readonly Before?: string
    readonly After?: string
  }>
}

/** When the leader had it that a task of the service runs, and that it does not any more, by its id. */
async function entriesOf({ name }: Moving): Promise<ReadonlyMap<string, { come?: number; gone?: number }>> {
  const found = new Map<string, { come?: number; gone?: number }>()
  const { Changes } = await call<{ readonly Changes: ReadonlyArray<Recorded> }>(
    lab.door(),
    "GET",
    `/history/${name}?tasks=1&limit=1000`
  )
  for (const { Kind, ID, Time, Changed } of Changes) {
    const state = Changed.find(({ Field }) => Field === "Status.State")
    if (Kind !== "task" || state === undefined) continue
    const times = found.get(ID) ?? {}
    if (state.After === "running") times.come = Date.parse(Time)
    else if (state.Before === "running") times.gone = Date.parse(Time)
    found.set(ID, times)
  }
  return found
}

function quantiles(times: Array<number>): ReadonlyArray<string> {
  times.sort((a, b) => a - b)
  const at = (share: number): string =>
    `${times[Math.min(times.length - 1, Math.floor(share * times.length))]}`
  return [`${times.length}`, at(0.5), at(0.99), at(1)]
}

async function overlay(Name: string, Subnet: string, Ingress: boolean): Promise<string> {
  const spec = { Name, Driver: "overlay", Ingress, IPAM: { Config: [{ Subnet }] } }
  const { Id } = await call<{ Id: string }>(lab.door(), "POST", "/networks/create", spec)
  return Id
}

const nameOf = (at: number): string => (at < moving ? `moving${at}` : `still${at}`)

/** With the chains of its addresses, which it has once its tasks run. */
async function movingAt(at: number, networkId: string): Promise<Moving> {
  const [name, published] = [nameOf(at), firstPublished + at]
  const { Endpoint: endpoint } = await call<{
    readonly Endpoint: {
      readonly VirtualIPs: ReadonlyArray<{ readonly NetworkID: string; readonly Addr: string }>
    }
  }>(lab.door(), "GET", `/services/${name}`)
  const vip = endpoint.VirtualIPs.find(({ NetworkID }) => NetworkID === networkId)?.Addr.split("/")[0] ?? ""
  return {
    name,
    dnsName: `tasks.${name}`,
    published,
    vipChain: `to_${vip.replaceAll(".", "_")}`,
    portChain: `to4_tcp_${published}`
  }
}

async function measure(): Promise<boolean> {
  await lab.open()
  // Room for more services and tasks than the usual 254.
  await call(lab.door(), "DELETE", "/networks/ingress")
  await overlay("ingress", "10.120.0.0/16", true)
  const networkId = await overlay("front", "10.121.0.0/16", false)
  await create("asker", 0, undefined, { Global: {} })
  for (let at = 0; at < services; at++) {
    const replicas = at < moving ? 2 : at < moving + withTask ? 1 : 0
    await create(nameOf(at), replicas, firstPublished + at)
  }
  await elapsed("all tasks run", async () => {
    const tasks = await call<ReadonlyArray<TaskView>>(lab.door(), "GET", "/tasks")
    const count = tasks.filter(({ Status }) => Status.State === "running").length
    return count === 2 * moving + withTask + lab.machines().length
  })
  const all = await Promise.all(Array.from({ length: moving }, (_, at) => movingAt(at, networkId)))
  await watchAll(all.flatMap(({ vipChain, portChain }) => [vipChain, portChain]))
  const done: Array<Change> = []
  for (let at = 0; at < changes; at++) {
    // A look may be under way, or not.
    await pause(Math.random() * betweenLooksMs)
    done.push(await change(all[at % moving] as Moving, Math.floor(at / moving)))
  }
  const recorded = await Promise.all(all.map(entriesOf))
  return report(done, new Map(recorded.flatMap((entries) => [...entries])))
}

function report(done: ReadonlyArray<Change>, recorded: Awaited<ReturnType<typeof entriesOf>>): boolean {
  const rows: Array<ReadonlyArray<string>> = []
  let isRight = true
  for (const { title, sights, known, isWhole } of ways) {
    for (const what of isWhole ? (["gone", "come"] as const) : (["come"] as const)) {
      const times = done.flatMap((changed) => {
        const endpoint = changed[what]
        const began = recorded.get(endpoint.id)?.[what]
        if (began === undefined) throw new Error(`${endpoint.id}: the history does not have it`)
        return watchers.map((own) => {
          const sight = sights(own, changed.service).find(
            ({ at, values: seen }) => at >= began && seen.includes(known(endpoint)) === (what === "come")
          )
          return sight === undefined ? Number.POSITIVE_INFINITY : sight.at - began
        })
      })
      const [count = "", p50 = "", p99 = "", most = ""] = quantiles(times)
      isRight &&= !isWhole || Number(p99) <= mostMs
      rows.push([title, what, count, p50, p99, most])
    }
  }
  console.log(table(["WAY", "TASK", "SEEN", "P50 MS", "P99 MS", "MOST MS"], rows))
  console.log(
    `${services} services, ${withTask + moving} of them with tasks, ${done.length} changes; load ${loadavg()[0]?.toFixed(1)}`
  )
  return isRight
}

const close = async (): Promise<void> => {
  for (const each of watchers)
    for (const { process: own } of Object.values(each) as Array<Watcher>) own.kill()
  await lab.close()
}
const settled = whenInterrupted(close)
process.exitCode = (await measure().finally(close)) ? 0 : 1
settled()
