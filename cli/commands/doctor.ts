/** `troupe doctor`: what is wrong on this machine, and how to mend it. Ends with 1 when something must be mended. */
import { execFile } from "node:child_process"
import { accessSync, constants, existsSync, readFileSync, statfsSync } from "node:fs"
import { dirname, resolve } from "node:path"
import process from "node:process"
import { Clock, Console, Effect, Option, Schema } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { readKernel } from "#actors/drivers/kernel/live.ts"
import { reconcile } from "#actors/drivers/kernel/reconcile.ts"
import { tmpfsMagic } from "#actors/drivers/secret-store/tmpfs.ts"
import { warnOfVersion } from "#actors/nats/configure.ts"
import type { NetworkView } from "#actors/network/protocol.ts"
import { get, isLeaderless, socketIfGiven } from "#cli/client.ts"
import { showNetwork } from "#cli/print/network.ts"
import { type Node, type Service, type Task, whatIsKept } from "#cli/print/status.ts"
import { sayWaiting, whoWaits } from "#cli/print/waiting.ts"
import type { WhyService } from "#cli/print/why.ts"
import {
  connectAs,
  dataDirMeant,
  findRunning,
  type NotRunning,
  nodeDataDirIfGiven,
  type Running,
  whyWithoutNats
} from "#cli/running.ts"
import { inspector } from "#runtime/inspect.ts"
import { showBytes } from "#runtime/show-bytes.ts"
import type { TreeNode } from "#runtime/system.ts"
import { wordsOf } from "#runtime/words-of.ts"

interface Finding {
  readonly grade: "good" | "warning" | "bad"
  readonly text: string
  /** What to do about it. */
  readonly mend?: string
}

const good = (text: string): Finding => ({ grade: "good", text })
const warning = (text: string, mend: string): Finding => ({ grade: "warning", text, mend })
const bad = (text: string, mend: string): Finding => ({ grade: "bad", text, mend })

/** A command's output, or `undefined` when it is not there or fails. */
const output = (command: string, ...args: ReadonlyArray<string>): Effect.Effect<string | undefined> =>
  Effect.callback((resume) => {
    const env = { ...process.env, PATH: `${process.env.PATH ?? ""}:/usr/local/sbin:/usr/sbin:/sbin` }
    execFile(command, [...args], { env, timeout: 10_000 }, (error, stdout) =>
      resume(Effect.succeed(error === null ? stdout.trim() : undefined))
    )
  })

const setup = "bash deploy/setup.sh installs it on Debian and Ubuntu, as root"

const natsServer = Effect.gen(function* () {
  const version = /v?(\d+\.\d+\.\d+)/.exec((yield* output("nats-server", "--version")) ?? "")?.[1]
  if (version === undefined) return bad("nats-server is not installed", setup)
  const why = warnOfVersion(version)
  return why === undefined ? good(`nats-server ${version}`) : warning(why, "install a newer one when you can")
})

interface EngineInfo {
  readonly ServerVersion: string
  readonly LiveRestoreEnabled: boolean
  readonly Warnings?: ReadonlyArray<string> | null
}

const engine = Effect.fnUntraced(function* (dockerHost: string) {
  if (!dockerHost.startsWith("unix://"))
    return [good(`the Engine is elsewhere (${dockerHost}): ask doctor there`)]
  const path = dockerHost.slice("unix://".length)
  const info = yield* get<EngineInfo>(path, "/info").pipe(Effect.option)
  if (info._tag === "None") {
    return [
      bad(`no Docker Engine answers at ${dockerHost}`, "systemctl start docker, or bash deploy/setup.sh")
    ]
  }
  const { ServerVersion: version, LiveRestoreEnabled: liveRestore } = info.value
  return [
    good(`Docker Engine ${version} answers at ${dockerHost}`),
    liveRestore
      ? good("live-restore is on: containers outlive a restart of the Engine")
      : warning(
          "live-restore is off: a restart of the Engine ends every container of this node",
          'set "live-restore": true in /etc/docker/daemon.json and reload the Engine'
        )
  ]
})

const tools = Effect.gen(function* () {
  const found: Array<Finding> = []
  for (const [command, flag, what] of [
    ["docker", "--version", "the docker CLI"],
    ["ip", "-V", "iproute2"],
    ["nft", "--version", "nftables"]
  ] as const) {
    const version = yield* output(command, flag)
    found.push(version === undefined ? bad(`${what} is not installed`, setup) : good(`${what}: ${version}`))
  }
  return found
})

/** Statistics of the file system that holds `path`, or the nearest folder above it that exists. */
function fileSystemOf(path: string): ReturnType<typeof statfsSync> {
  let folder = path
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder)
  return statfsSync(folder)
}

const leastFreeBytes = 1024 ** 3

function disk(dataDir: string): ReadonlyArray<Finding> {
  const { bavail, bsize } = fileSystemOf(dataDir)
  const free = Number(bavail) * Number(bsize)
  const room = `${showBytes(free)} free for ${dataDir}`
  const found =
    free < leastFreeBytes ? [bad(room, "free some: below its reserve the log refuses writes")] : [good(room)]
  if (!existsSync(dataDir)) return found
  try {
    accessSync(dataDir, constants.R_OK | constants.W_OK)
    return found
  } catch (error) {
    const mend =
      (error as NodeJS.ErrnoException).code === "EROFS"
        ? "the kernel's log (dmesg) may say why it is read-only: mend the disk, mount it anew and start the node"
        : "run as the user who owns it"
    return [...found, bad(`${dataDir} cannot be read and written: ${wordsOf(error)}`, mend)]
  }
}

function memory(): ReadonlyArray<Finding> {
  const found: Array<Finding> = []
  if (process.platform !== "linux")
    return [warning("this is not Linux", "tasks with secrets need a Linux node")]
  if (process.getuid?.() !== 0) {
    found.push(warning("not root", "published ports below 1024 and secrets in memory need root"))
  }
  if (fileSystemOf("/run").type !== tmpfsMagic) {
    found.push(
      warning("/run is not a tmpfs", "the node mounts one of its own for secrets; nothing to do as root")
    )
  }
  const forwarding = existsSync("/proc/sys/net/ipv4/ip_forward")
    ? readFileSync("/proc/sys/net/ipv4/ip_forward", "utf8").trim()
    : "1"
  if (forwarding !== "1") found.push(warning("IPv4 forwarding is off", "sysctl net.ipv4.ip_forward=1"))
  return found
}

function crashed(nodes: ReadonlyArray<TreeNode>): ReadonlyArray<Finding> {
  return nodes.flatMap((node) => [
    ...(node.state === "failed" || node.state === "restarting"
      ? [bad(`${node.name} is ${node.state}: ${node.lastError ?? "no error kept"}`, "see the node's log")]
      : node.restarts > 0
        ? [
            warning(
              `${node.name} was restarted ${node.restarts} times: ${node.lastError ?? "no error kept"}`,
              "see the node's log"
            )
          ]
        : []),
    ...crashed(node.children)
  ])
}

interface Alert {
  readonly Since: string
  readonly Says: string
}

/** What the leader says is wrong with the cluster. A worker does not know. */
const firing = (socket: string): Effect.Effect<ReadonlyArray<Finding>> =>
  get<ReadonlyArray<Alert>>(socket, "/alerts").pipe(
    Effect.map((alerts) =>
      alerts.length === 0
        ? [good("no alert of the cluster is firing")]
        : alerts.map(({ Since, Says }) => bad(`since ${Since}: ${Says}`, "troupe status shows the cluster"))
    ),
    Effect.catch((error) =>
      Effect.succeed(
        isLeaderless(error)
          ? [
              bad(
                "this manager hears of no leader: nothing can be changed here",
                "where other managers have one, mend the network to them; else bring back managers until more than half are there"
              )
            ]
          : []
      )
    )
  )

/** Nodes that are down while another one is ready where they were: machines that lost their data and joined again. */
const formerLives = (nodes: ReadonlyArray<Node>): ReadonlyArray<Finding> =>
  nodes.flatMap((former) => {
    const name = former.Description?.Hostname
    const { Addr, State } = former.Status
    if (State !== "down" || name === undefined || Addr === undefined) return []
    const present = nodes.find(
      ({ Status, Description }) =>
        Status.State === "ready" && Status.Addr === Addr && Description?.Hostname === name
    )
    if (present === undefined) return []
    const text = `node ${former.ID} (${name}) is down, and ${present.ID} is ready under the same name and address`
    return [warning(text, `if that is the same machine, which lost its data: docker node rm ${former.ID}`)]
  })

/** What keeps others from running, and only people can decide. A worker does not know. */
const absentNodes = (socket: string, tasks: ReadonlyArray<Task>): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.gen(function* () {
    const nodes = yield* get<ReadonlyArray<Node>>(socket, "/nodes")
    const services = yield* get<ReadonlyArray<Service>>(socket, "/services?status=true")
    const kept = whatIsKept(services, nodes, tasks).map(({ ID, Status }) =>
      bad(`a slot waits for task ${ID}: ${Status.Err}`, `troupe why ${ID} tells more`)
    )
    return [...formerLives(nodes), ...kept]
  }).pipe(Effect.catch(() => Effect.succeed([])))

const mostServices = 20

/** Tasks that are in one state before running for long. A worker does not know. */
const waiting = (socket: string, tasks: ReadonlyArray<Task>): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const services = whoWaits(tasks, now)
    const found: Array<Finding> = []
    for (const id of services.slice(0, mostServices)) {
      // It may be gone meanwhile.
      const why = yield* get<WhyService>(socket, `/why/${id}`).pipe(Effect.option)
      const told = Option.match(why, { onNone: () => [], onSome: ({ Tasks }) => Tasks })
      for (const { text, mend, mayPass } of sayWaiting(told, now))
        found.push(mayPass ? warning(text, mend) : bad(text, mend))
    }
    const more = services.length - mostServices
    if (more > 0) found.push(bad(`tasks of ${more} more services wait`, "troupe status shows which"))
    return found
  })

/** The node to look at. */
interface Meant {
  /** Of its API. */
  readonly socket: string
  /** What it says of itself in the data directory; none where it has another. */
  readonly running: Option.Option<Running>
  /** Whether anybody answers at the socket. */
  readonly answers: boolean
}

const answersAt = (socket: string): Effect.Effect<boolean> =>
  get(socket, "/_ping").pipe(
    Effect.as(true),
    Effect.catch((error) => Effect.succeed(error.status === 200 || error.message.includes("not JSON")))
  )

const nodeMeant = Effect.fnUntraced(function* (
  dataDir: string,
  given: Option.Option<string>
): Effect.fn.Return<Meant, NotRunning> {
  const found = findRunning(dataDir)
  if (Option.isNone(given)) {
    const running = yield* found
    const { socket } = running
    return { socket, running: Option.some(running), answers: yield* answersAt(socket) }
  }
  const socket = resolve(given.value)
  const running = Option.filter(yield* Effect.option(found), (one) => one.socket === socket)
  return { socket, running, answers: yield* answersAt(socket) }
})

/** `isElsewhere`: what answers has another data directory. */
const daemon = Effect.fnUntraced(function* (
  dataDir: string,
  isElsewhere: boolean,
  { socket, running, answers }: Meant
) {
  const found = [
    Option.match(running, {
      onSome: ({ pid, nodeId }) => good(`node ${nodeId || "in no cluster"} runs (process ${pid})`),
      onNone: () =>
        isElsewhere
          ? warning(
              `no node with --data-dir ${dataDir} has this --socket: its disk and its actors were not looked at`,
              "say its --data-dir, too"
            )
          : warning(
              `no node with --data-dir ${dataDir} has this --socket`,
              "if it has ended, its log says why"
            )
    })
  ]
  found.push(
    answers
      ? good(`its API answers at ${socket}`)
      : bad(`its API does not answer at ${socket}`, "see the node's log")
  )
  if (Option.exists(running, ({ nodeId }) => nodeId === "")) return found
  const tasks = yield* get<ReadonlyArray<Task>>(socket, "/tasks").pipe(Effect.orElseSucceed(() => []))
  found.push(
    ...(yield* firing(socket)),
    ...(yield* absentNodes(socket, tasks)),
    ...(yield* waiting(socket, tasks))
  )
  if (Option.isNone(running)) return found
  const why = whyWithoutNats(running.value)
  if (why !== undefined) return [...found, bad(why, "docker swarm unlock, or docker swarm leave --force")]
  const { nodeId, clusterId } = running.value
  const actors = yield* connectAs(dataDir, running.value).pipe(
    Effect.flatMap((transport) => inspector(transport, clusterId).tree(nodeId)),
    Effect.timeout("5 seconds"),
    Effect.option
  )
  if (actors._tag === "None") {
    found.push(bad("its actors do not answer over NATS", "see the node's log and <data-dir>/nats"))
  } else {
    const troubles = crashed(actors.value.trees)
    found.push(...(troubles.length === 0 ? [good("every actor is well")] : troubles))
  }
  return found
}, Effect.scoped)

interface ClusterInfo {
  readonly Swarm: { readonly NodeID: string }
}

/** Reads the kernel of this machine beside what the node knows; fails where they differ. */
const ofNetwork = Effect.fnUntraced(function* ({ socket, running }: Meant) {
  const nodeId = Option.isSome(running)
    ? running.value.nodeId
    : (yield* get<ClusterInfo>(socket, "/info")).Swarm.NodeID
  const view = yield* get<NetworkView>(socket, "/network")
  const state = process.getuid?.() === 0 ? yield* readKernel.pipe(Effect.option) : Option.none()
  const repair = Option.map(state, (kernel) =>
    reconcile(view.tables, kernel, nodeId, new Map(Object.entries(view.tunnels ?? {})))
  )
  const seen = Option.match(repair, { onNone: () => [], onSome: ({ problems }) => problems })
  // The node's own look may have found the same.
  const problems = [...new Set([...view.problems, ...seen])]
  yield* Console.log(showNetwork({ ...view, problems }, Option.getOrUndefined(repair)))
  const differences = Option.match(repair, {
    onNone: () => 0,
    onSome: ({ ip, bridge }) => ip.length + bridge.length
  })
  const count = differences + problems.length
  if (count > 0) return yield* new NeedsMending({ message: `${count} of these must be mended` })
})

const usualEngine = "unix:///var/run/docker.sock"

/** The one asked for, else the node's own, else where `DOCKER_HOST` leads; by which people speak to a node as well. */
function engineMeant(given: Option.Option<string>, node: Option.Option<Meant>): string {
  const own = Option.getOrUndefined(Option.flatMap(node, ({ running }) => running))?.dockerHost
  const asked = Option.getOrElse(given, () => own ?? process.env.DOCKER_HOST ?? usualEngine)
  return Option.exists(node, ({ socket }) => asked === `unix://${socket}`) ? (own ?? usualEngine) : asked
}

class NeedsMending extends Schema.TaggedError<NeedsMending>()("NeedsMending", { message: Schema.String }) {}

const signs = { good: "ok  ", warning: "warn", bad: "BAD " } as const

export const doctor = Command.make(
  "doctor",
  {
    what: Argument.Literals("what", ["network"]).pipe(
      Argument.withDescription("network: this node's overlays beside what is in its kernel"),
      Argument.optional
    ),
    dataDir: nodeDataDirIfGiven,
    socket: socketIfGiven,
    dockerHost: Flag.String("docker-host").pipe(
      Flag.withDescription("the Engine to look at [the node's own, else DOCKER_HOST]"),
      Flag.optional
    )
  },
  Effect.fn(function* ({ what, dataDir: given, socket, dockerHost }) {
    const asked = { ...process.env, ...(Option.isSome(socket) && { TROUPE_SOCKET: socket.value }) }
    const dataDir = Option.getOrElse(given, () => dataDirMeant(asked))
    if (Option.isSome(what)) return yield* ofNetwork(yield* nodeMeant(dataDir, socket))
    const node = yield* Effect.option(nodeMeant(dataDir, socket))
    const isElsewhere = Option.exists(
      node,
      ({ running, answers }) => Option.isNone(running) && (answers || Option.isNone(given))
    )
    const findings: ReadonlyArray<Finding> = [
      yield* natsServer,
      ...(yield* engine(engineMeant(dockerHost, node))),
      ...(yield* tools),
      ...(isElsewhere ? [] : disk(dataDir)),
      ...memory(),
      ...(Option.isSome(node)
        ? yield* daemon(dataDir, isElsewhere, node.value)
        : [warning(`no node runs with --data-dir ${dataDir}`, "bun run node --role manager")])
    ]
    for (const { grade, text, mend } of findings) {
      yield* Console.log(`${signs[grade]}  ${text}${mend === undefined ? "" : `\n        ${mend}`}`)
    }
    const toMend = findings.filter(({ grade }) => grade === "bad").length
    if (toMend > 0) return yield* new NeedsMending({ message: `${toMend} of these must be mended` })
  })
).pipe(Command.withDescription("What is wrong on this machine, and how to mend it"))
