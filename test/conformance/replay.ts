/**
 * Replays what the docker CLI sent to an Engine, and puts beside each recorded answer the one that we give.
 *
 * The recording is of a whole Engine, we have its API alone: what its orchestrator had done by the time of a
 * request (tasks, addresses, the state of an update) is read off the recorded answer and written to the ledger first.
 */
import { readFileSync } from "node:fs"
import { Effect } from "effect"
import type { Command } from "#actors/ledger/commands.ts"
import type { Attachment, Service, TaskState, TaskStatus } from "#actors/model/objects.ts"
import { Fresh } from "#runtime/ids.ts"
import { fakeEngine, nodeId, type Reply, TestGateway } from "#test/support/gateway.ts"

// biome-ignore lint/suspicious/noExplicitAny: a recording has the shapes that it has
type Json = any

export interface Recorded {
  readonly command: string
  readonly m: string
  readonly path: string
  readonly body?: Json
  readonly status: number
  readonly answer?: Json
}

export interface Compared {
  readonly request: Recorded
  readonly reply?: Reply
  /** Why it was not sent. */
  readonly skipped?: string
  readonly differences: ReadonlyArray<string>
}

/** The requests of a fixture, each with the command that sent it. */
export function load(file: string): ReadonlyArray<Recorded> {
  const requests: Array<Recorded> = []
  let command = ""
  for (const line of readFileSync(new URL(file, import.meta.url), "utf8")
    .trim()
    .split("\n")) {
    const entry = JSON.parse(line) as Json
    if (entry.cmd !== undefined) command = entry.cmd
    else requests.push({ command, ...entry })
  }
  return requests
}

/** Gives new objects the ids that the recording has for them. */
class Scripted extends Fresh {
  next: string | undefined
  override id(): string {
    const id = this.next ?? super.id()
    this.next = undefined
    return id
  }
}

const ingress = "kmdn43qbllstwtidn6fz460j9"
const bySkip: ReadonlyArray<readonly [(request: Recorded) => boolean, string]> = [
  [({ path }) => path.includes("/swarm/join"), "joining is the node's, not the API's"]
]

export async function replay(requests: ReadonlyArray<Recorded>): Promise<ReadonlyArray<Compared>> {
  const fresh = new Scripted([1, 2, 3, 4])
  const engine = fakeEngine()
  let member = false
  const gateway = await TestGateway.start(
    {
      fresh,
      membership: () => (member ? "active/manager" : "inactive"),
      control: {
        init: () =>
          Effect.sync(() => {
            member = true
            return nodeId
          }),
        leave: () =>
          Effect.sync(() => {
            member = false
          })
      }
    },
    engine
  )
  await gateway.write({
    type: "network.create",
    v: 1,
    network: networkOf({
      Id: ingress,
      Name: "ingress",
      Ingress: true,
      Attachable: false,
      Internal: false
    })
  })
  const compared: Array<Compared> = []
  for (const request of requests) {
    const skip = bySkip.find(([applies]) => applies(request))
    if (skip !== undefined) {
      compared.push({ request, skipped: skip[1], differences: [] })
      continue
    }
    fresh.next = request.status === 201 ? (request.answer.ID ?? request.answer.Id) : undefined
    await imitateEngine(gateway, request)
    await imitateOrchestrator(gateway, request)
    const path = withPresentVersion(gateway, request.path)
    const reply = await gateway.call(request.m, path, request.body)
    compared.push({ request, reply, differences: differ(request, reply) })
  }
  return compared
}

/** The clock of our ledger is another one, so are its indexes. */
function withPresentVersion(gateway: TestGateway, path: string): string {
  const match = /\/(services|nodes|secrets|configs|swarm)\/(?:(\w+)\/)?update\?/.exec(path)
  if (match === null) return path
  const { read } = gateway.ledger
  const kind = match[1] as string
  const object =
    kind === "swarm" ? read.cluster() : read.get(kind.slice(0, -1) as "service", match[2] as string)
  return path.replace(/version=\d+/, `version=${object?.Version.Index}`)
}

/** The Engine's own half: its networks, and registries that cannot be reached. */
async function imitateEngine(gateway: TestGateway, { m, path, status, answer }: Recorded): Promise<void> {
  const plain = path.replace(/^\/v[\d.]+/, "").split("?")[0] as string
  const { answers } = gateway.engine
  if (plain.startsWith("/distribution/")) answers.set(`GET ${plain}`, { status, body: answer })
  if (m === "GET" && plain === "/networks" && status === 200) {
    const local = (answer as ReadonlyArray<Json>).filter(({ Scope }) => Scope === "local")
    answers.set("GET /networks", { status: 200, body: local })
  }
}

function networkOf(recorded: Json): Extract<Command, { type: "network.create" }>["network"] {
  return {
    ID: recorded.Id,
    Name: recorded.Name,
    Driver: "overlay",
    Scope: "swarm",
    Internal: recorded.Internal,
    Attachable: recorded.Attachable,
    Ingress: recorded.Ingress,
    EnableIPv6: false,
    IPAM: {},
    Options: {},
    Labels: recorded.Labels ?? {}
  }
}

async function imitateOrchestrator(gateway: TestGateway, request: Recorded): Promise<void> {
  if (request.m !== "GET") return
  const kind = /^\/v[\d.]+\/(services|tasks|networks|secrets|nodes)/.exec(request.path)?.[1]
  if (request.status === 404 && kind === "tasks") {
    const id = request.path.slice(request.path.lastIndexOf("/") + 1)
    await gateway.write({ type: "tasks.change", v: 1, create: [], update: [], remove: [id] })
  }
  if (request.status !== 200) return
  const objects: ReadonlyArray<Json> = Array.isArray(request.answer) ? request.answer : [request.answer]
  if (kind === "tasks") await imitateTasks(gateway, request, objects)
  for (const object of objects) {
    if (kind === "services") await imitateService(gateway, object)
    if (kind === "networks" && object.Scope === "swarm") await imitateNetwork(gateway, object)
    if (kind === "secrets" && gateway.ledger.read.get("secret", object.ID) === undefined) {
      await gateway.write({ type: "secret.create", v: 1, secret: { ID: object.ID, Spec: object.Spec } })
    }
  }
}

async function imitateNetwork(gateway: TestGateway, recorded: Json): Promise<void> {
  const network = gateway.ledger.read.get("network", recorded.Id)
  const vni = Number(recorded.Options?.["com.docker.network.driver.overlay.vxlanid_list"] ?? 0)
  if (network === undefined || network.Vni === vni) return
  const ipam = { ...network.IPAM, Config: recorded.IPAM.Config }
  await gateway.write({ type: "network.allot", v: 1, networks: [{ id: network.ID, ipam, vni }] })
}

async function imitateService(gateway: TestGateway, recorded: Json): Promise<void> {
  const { read } = gateway.ledger
  const service = read.get("service", recorded.ID)
  if (service === undefined) return
  if (recorded.Endpoint?.Ports !== undefined || recorded.Endpoint?.VirtualIPs !== undefined) {
    await gateway.write({
      type: "service.allot",
      v: 1,
      services: [{ id: service.ID, endpoint: recorded.Endpoint }]
    })
  }
  if (recorded.ServiceStatus !== undefined) await imitateCounts(gateway, service, recorded.ServiceStatus)
  const status = recorded.UpdateStatus
  if (status !== undefined && status.State !== service.UpdateStatus?.State) {
    const version = (read.get("service", service.ID) as Service).Version.Index
    await gateway.write({ type: "service.progress", v: 1, id: service.ID, version, status })
  }
}

/** Tasks that the recording counted without listing them. */
async function imitateCounts(gateway: TestGateway, service: Service, counts: Json): Promise<void> {
  const tasks = [...gateway.ledger.read.tasksOfService(service.ID)]
  const inState = (state: TaskState): number => tasks.filter(({ Status }) => Status.State === state).length
  const waiting = tasks.filter(({ Status }) => Status.State === "pending").map(({ ID }) => ID)
  const now = new Date(gateway.now).toISOString()
  for (const [state, wanted, desired] of [
    ["running", counts.RunningTasks, "running"],
    ["complete", counts.CompletedTasks, "complete"]
  ] as const) {
    for (let missing = wanted - inState(state); missing > 0; missing--) {
      const id = waiting.pop()
      const facts = { Status: { Timestamp: now, State: state }, DesiredState: desired }
      await gateway.write({
        type: "tasks.change",
        v: 1,
        create:
          id === undefined
            ? [
                {
                  ID: `${state}-${missing}-${service.ID}`.slice(0, 25),
                  ServiceID: service.ID,
                  SpecVersion: service.SpecVersion,
                  NodeID: nodeId,
                  ...facts,
                  ...(service.JobStatus === undefined ? {} : { JobIteration: { Index: 0 } })
                }
              ]
            : [],
        update: id === undefined ? [] : [{ id, ...facts }],
        remove: []
      })
    }
  }
}

async function imitateTasks(
  gateway: TestGateway,
  request: Recorded,
  recorded: ReadonlyArray<Json>
): Promise<void> {
  const { read } = gateway.ledger
  const wanted = new Set(recorded.map(({ ID }) => ID as string))
  const shown = (await gateway.get(request.path)).body as ReadonlyArray<{ readonly ID: string }>
  const remove = shown.map(({ ID }) => ID).filter((id) => !wanted.has(id))
  await gateway.write({
    type: "tasks.change",
    v: 1,
    create: recorded
      .filter(({ ID }) => read.get("task", ID) === undefined)
      .map((task) => ({
        ID: task.ID,
        ServiceID: task.ServiceID,
        SpecVersion: read.get("service", task.ServiceID)?.SpecVersion ?? 0,
        ...stateOf(task),
        ...(task.Slot === undefined ? {} : { Slot: task.Slot }),
        ...(task.JobIteration === undefined ? {} : { JobIteration: { Index: task.JobIteration.Index ?? 0 } })
      })),
    update: recorded
      .filter(({ ID }) => read.get("task", ID) !== undefined)
      .map((task) => ({ id: task.ID, ...stateOf(task) })),
    remove
  })
}

const stateOf = (task: Json) => ({
  ...(task.NodeID === undefined ? {} : { NodeID: task.NodeID as string }),
  Status: task.Status as TaskStatus,
  DesiredState: task.DesiredState as TaskState,
  ...(task.NetworksAttachments === undefined
    ? {}
    : {
        Attachments: (task.NetworksAttachments as ReadonlyArray<Json>).map(
          ({ Network, Addresses }): Attachment => ({ NetworkID: Network.ID, Addresses })
        )
      })
})

// Times and indexes are another cluster's; tokens and keys are random.
const incomparable: ReadonlySet<string> = new Set([
  "Index",
  "CreatedAt",
  "UpdatedAt",
  "Created",
  "Timestamp",
  "StartedAt",
  "CompletedAt",
  "LastExecution",
  "Worker",
  "Manager",
  "UnlockKey"
])

/** Where we differ on purpose. */
const accepted: ReadonlyArray<readonly [pattern: RegExp, why: string]> = [
  [/\bTLSInfo\b/, "another cluster's root"],
  [/\bEnableIPv4: /, "the Engine calls its overlays IPv4-less until a task is on them"],
  [/^\[?\d*\]?\.?(Containers|Peers)\b/, "containers are the Engine's to tell"],
  [/^(\[\d+\]\.)?Labels: null became \{\}/, "no labels are none, whoever made the network"],
  [/\.Executor\b/, "ours alone"]
]

function differ(request: Recorded, reply: Reply): ReadonlyArray<string> {
  if (request.status !== reply.status) {
    return [`status ${request.status} became ${reply.status}: ${reply.text.trim()}`]
  }
  if (request.answer === undefined) return reply.text === "" ? [] : [`no body became ${reply.text.trim()}`]
  const found: Array<string> = []
  compare(request.answer, reply.body, "", found)
  return found.filter((difference) => !accepted.some(([pattern]) => pattern.test(difference)))
}

const short = (value: unknown): string => {
  const text = JSON.stringify(value) ?? "nothing"
  return text.length > 90 ? `${text.slice(0, 90)}…` : text
}

function compare(recorded: Json, ours: Json, path: string, found: Array<string>): void {
  if (Array.isArray(recorded) && Array.isArray(ours)) {
    if (recorded.length !== ours.length) {
      found.push(`${path}: ${recorded.length} entries became ${ours.length}`)
    }
    for (const [at, entry] of recorded.entries()) compare(entry, ours[at], `${path}[${at}]`, found)
    return
  }
  if (isObject(recorded) && isObject(ours)) {
    const order = Object.keys(ours).filter((key) => key in recorded)
    const expected = Object.keys(recorded).filter((key) => key in ours)
    if (order.join() !== expected.join()) found.push(`${path}: order ${expected} became ${order}`)
    for (const key of new Set([...Object.keys(recorded), ...Object.keys(ours)])) {
      const where = path === "" ? key : `${path}.${key}`
      if (!(key in ours)) found.push(`${where} is missing: ${short(recorded[key])}`)
      else if (!(key in recorded)) found.push(`${where} is too much: ${short(ours[key])}`)
      else if (incomparable.has(key)) {
        if (typeof recorded[key] !== typeof ours[key]) found.push(`${where}: another type`)
      } else compare(recorded[key], ours[key], where, found)
    }
    return
  }
  if (recorded !== ours) found.push(`${path}: ${short(recorded)} became ${short(ours)}`)
}

const isObject = (value: Json): boolean =>
  typeof value === "object" && value !== null && !Array.isArray(value)
