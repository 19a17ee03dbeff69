/** The supervised nats-server: a real one, real clients, and kill -9 of each process around it. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test"
import { type ChildProcess, spawn } from "node:child_process"
import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync
} from "node:fs"
import net from "node:net"
import { join } from "node:path"
import process from "node:process"
import { Effect, Exit, Logger, Scope } from "effect"
import type { NatsConnection } from "nats"
import { identityOf, isAlive, type ProcessIdentity } from "#actors/drivers/machine/process-identity.ts"
import { natsPaths } from "#actors/drivers/nats-server/paths.ts"
import type { NatsCredentials } from "#actors/nats/creds.ts"
import {
  type NatsServerOptions,
  type NatsServerService,
  type NatsServerStatus,
  startNatsServer
} from "#actors/nats/server.ts"
import { prepareManager, type StartedManager } from "#test/actors/nats/started-manager.ts"
import {
  connectAs,
  freshDirectory,
  holdGuard,
  letIn,
  objectionTo,
  shutOut,
  until
} from "#test/actors/nats/support.ts"
import { freePort } from "#test/support/free-port.ts"
import { ownName } from "#test/support/own-name.ts"

// A process of its own takes seconds to start on a busy machine.
setDefaultTimeout(60_000)

const endings: Array<() => unknown> = []
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end()
})

const newDataDir = (): string => {
  const path = freshDirectory()
  endings.push(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/**
 * A nats-server that waits between reading its configuration and starting while `<path>.hold` is there, and that takes
 * away what it is waited for by, once, when `<path>.break` is.
 */
function slowBinary(dataDir: string): string {
  const path = join(dataDir, "slow-nats-server")
  const script = `#!/bin/sh
if [ -e "$0.break" ]; then
  rm "$0.break"
  rm -r "$(dirname "$2")/ports"
  exec sleep 60
fi
if [ -e "$0.hold" ]; then
  cp "$2" "$0.read"
  touch "$0.begun"
  while [ -e "$0.hold" ]; do sleep 0.02; done
  cat "$0.read" > "$2"
fi
exec nats-server "$@"
`
  writeFileSync(path, script, { mode: 0o755 })
  return path
}

async function start(
  options: Partial<NatsServerOptions> & { readonly dataDir: string },
  logger?: Logger.Logger<unknown, unknown>
): Promise<{ readonly server: NatsServerService; readonly stop: () => Promise<void> }> {
  const scope = Effect.runSync(Scope.make())
  const stop = (): Promise<void> => Effect.runPromise(Scope.close(scope, Exit.void))
  endings.push(stop)
  const started = Scope.provide(
    startNatsServer({ nodeId: "n1", clusterId: "c1", port: 0, ...options }),
    scope
  )
  const server = await Effect.runPromise(
    logger ? Effect.provideService(started, Logger.CurrentLoggers, new Set([logger])) : started
  )
  return { server, stop }
}

async function connected(url: string, credentials: NatsCredentials): Promise<NatsConnection> {
  const connection = await connectAs(url, credentials)
  endings.push(() => connection.close())
  return connection
}

const mayCome = (url: string, credentials: NatsCredentials): Promise<boolean> =>
  connected(url, credentials).then(
    () => true,
    () => false
  )

const prepare = (dataDir: string, port = 0): Promise<() => Promise<StartedManager>> =>
  prepareManager([dataDir, String(port)], endings)

const startManager = async (dataDir: string, port = 0): Promise<StartedManager> =>
  (await prepare(dataDir, port))()

const serverOf = (status: NatsServerStatus): ProcessIdentity => {
  const identity = identityOf(status.pid ?? 0)
  if (identity === undefined) throw new Error("nats-server is not running")
  return identity
}

const gone = (child: ChildProcess): Promise<unknown> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve(undefined)
    else child.once("exit", resolve)
  })

const nothing = new Uint8Array()

test("the daemon speaks under troupe.v1 of its cluster and hears its own inbox; nobody without credentials gets in", async () => {
  const { server } = await start({ dataDir: newDataDir() })
  const daemon = await connected(server.url, server.credentials.daemon)
  daemon.subscribe("troupe.v1.c1.n1.node.x.in", { callback: (_, message) => void message.respond("yes") })
  const answer = await daemon.request("troupe.v1.c1.n1.node.x.in", nothing, { timeout: 2_000 })
  expect(answer.string()).toBe("yes")
  await expect(connectAs(server.url, undefined)).rejects.toThrow(/authorization/i)
})

test("an anonymous client can neither publish nor subscribe, even one that does not wait to be let in", async () => {
  const { server } = await start({ dataDir: newDataDir() })
  const daemon = await connected(server.url, server.credentials.daemon)
  const heard: Array<string> = []
  daemon.subscribe("troupe.v1.c1.>", { callback: (_, message) => void heard.push(message.subject) })
  await daemon.flush()
  const said = await new Promise<string>((resolve) => {
    let text = ""
    const socket = net.connect({ host: "127.0.0.1", port: Number(new URL(server.url).port) })
    socket.on("data", (chunk) => {
      text += chunk
    })
    socket.on("error", () => {})
    socket.on("close", () => resolve(text))
    socket.write(
      'CONNECT {"verbose":false}\r\nSUB troupe.> 1\r\nPUB troupe.v1.c1.n1.node.x.in 2\r\nhi\r\nPING\r\n'
    )
  })
  daemon.publish("troupe.v1.c1.n1.node.y.out")
  await daemon.flush()
  expect(said).toContain("Authorization Violation")
  expect(said).not.toContain("MSG")
  expect(heard).toEqual(["troupe.v1.c1.n1.node.y.out"])
})

test("what is on disk is readable by its owner only and holds no password", async () => {
  const dataDir = newDataDir()
  const { server } = await start({ dataDir })
  for (const file of ["server.conf", "keys.json", "server.json", "server.out"]) {
    expect(statSync(join(dataDir, "nats", file)).mode & 0o777).toBe(0o600)
  }
  expect(readFileSync(join(dataDir, "nats", "server.conf"), "utf8")).not.toContain(
    server.credentials.daemon.seed
  )
})

test("an external client calls the API and hears events, and nothing of the actors", async () => {
  const dataDir = newDataDir()
  const { server } = await start({ dataDir })
  const credentials = await letIn(dataDir, "shop")
  // The running server takes it up by itself.
  await until("the new client is let in", () =>
    connectAs(server.url, credentials).then(
      (connection) => connection.close().then(() => true),
      () => false
    )
  )
  const api = await connected(server.url, server.credentials.api)
  api.subscribe("troupe.api.v1.service.create", { callback: (_, message) => void message.respond("made") })
  await api.flush()
  const client = await connected(server.url, credentials)
  const answer = await client.request("troupe.api.v1.service.create", nothing, { timeout: 2_000 })
  expect(answer.string()).toBe("made")
  expect(await objectionTo(client, () => void client.subscribe("troupe.event.v1.>"))).toBeUndefined()
  expect(await objectionTo(client, () => void client.subscribe("troupe.v1.>"))).toContain(
    "Permissions Violation"
  )
  expect(await objectionTo(client, () => void client.subscribe("_INBOX.>"))).toContain(
    "Permissions Violation"
  )
  expect(await objectionTo(client, () => client.publish("troupe.v1.c1.leader.node.n1.in"))).toContain(
    "Permissions Violation"
  )
  expect(await objectionTo(client, () => client.publish("troupe.event.v1.c.x.y.z"))).toContain(
    "Permissions Violation"
  )
})

test("a read-only client may list and inspect, not create", async () => {
  const dataDir = newDataDir()
  const credentials = await letIn(dataDir, "viewer", { readOnly: true })
  const { server } = await start({ dataDir })
  const client = await connected(server.url, credentials)
  for (const allowed of ["troupe.api.v1.service.list", "troupe.api.v1.node.inspect", "$SRV.PING"]) {
    expect(await objectionTo(client, () => client.publish(allowed))).toBeUndefined()
  }
  for (const forbidden of ["troupe.api.v1.service.create", "troupe.api.v1.service.remove", "troupe.x"]) {
    expect(await objectionTo(client, () => client.publish(forbidden))).toContain("Permissions Violation")
  }
})

test("a client that is removed is cut off, and others are not", async () => {
  const dataDir = newDataDir()
  const credentials = await letIn(dataDir, "shop")
  const { server } = await start({ dataDir })
  const daemon = await connected(server.url, server.credentials.daemon)
  const client = await connected(server.url, credentials)
  let daemonCut = false
  void (async () => {
    for await (const event of daemon.status()) if (event.type === "disconnect") daemonCut = true
  })()
  await shutOut(dataDir, "shop")
  const why = await client.closed()
  expect(String(why)).toMatch(/authorization/i)
  await daemon.flush()
  expect(daemonCut).toBe(false)
})

test("a port that is taken is an error that names it and who has it", async () => {
  const holder = net.createServer()
  await new Promise<void>((resolve) => holder.listen(0, "127.0.0.1", resolve))
  endings.push(() => holder.close())
  const { port } = holder.address() as net.AddressInfo
  const refused = start({ dataDir: newDataDir(), port })
  expect(refused).rejects.toThrow(`port ${port} on 127.0.0.1 is in use by ${ownName} (pid ${process.pid})`)
  await refused.catch(() => {})
})

test("a machine without nats-server is told how to get it", async () => {
  expect(start({ dataDir: newDataDir(), binary: "/nowhere/nats-server" })).rejects.toThrow(
    "/nowhere/nats-server"
  )
  const path = process.env.PATH
  process.env.PATH = "/nowhere"
  try {
    if (!existsSync("/usr/sbin/nats-server") && !existsSync("/usr/local/bin/nats-server")) {
      expect(start({ dataDir: newDataDir() })).rejects.toThrow("npm run setup")
    }
  } finally {
    process.env.PATH = path
  }
})

test("kill -9 of nats-server: it is back at the same address, and clients with it", async () => {
  const { server } = await start({ dataDir: newDataDir() })
  const daemon = await connected(server.url, server.credentials.daemon)
  const before = server.status()
  let reconnected = false
  void (async () => {
    for await (const event of daemon.status()) if (event.type === "reconnect") reconnected = true
  })()
  const killedAt = performance.now()
  process.kill(before.pid ?? 0, "SIGKILL")
  await until("the client is connected again", () => reconnected)
  const tookMs = performance.now() - killedAt
  console.log(`kill -9 of nats-server: its client was connected again after ${tookMs.toFixed(0)} ms`)
  expect(server.status()).toMatchObject({ state: "running", restarts: 1, lastError: "killed by SIGKILL" })
  expect(server.status().pid).not.toBe(before.pid)
})

test("a frozen nats-server is found out and replaced", async () => {
  const { server } = await start({ dataDir: newDataDir(), attendEveryMs: 200 })
  const frozen = serverOf(server.status())
  process.kill(frozen.pid, "SIGSTOP")
  await until("it was replaced", () => server.status().restarts === 1, 40_000)
  expect(isAlive(frozen)).toBe(false)
}, 60_000)

test("what it is told while it starts again counts: a client that is let in then may come", async () => {
  const dataDir = newDataDir()
  const binary = slowBinary(dataDir)
  const { server } = await start({ dataDir, binary })
  writeFileSync(`${binary}.hold`, "")
  process.kill(server.status().pid ?? 0, "SIGKILL")
  await until("it has read its configuration", () => existsSync(`${binary}.begun`))
  const credentials = await letIn(dataDir, "shop")
  const { publicKey } = credentials
  await until("that is written down", () =>
    readFileSync(natsPaths(dataDir).config, "utf8").includes(publicKey)
  )
  rmSync(`${binary}.hold`)
  await until("it is back", () => server.status().state === "running")
  await until("the client is let in", () => mayCome(server.url, credentials))
})

test("it is brought back also when a start fails in a way that nobody thought of", async () => {
  const dataDir = newDataDir()
  const binary = slowBinary(dataDir)
  const { server } = await start({ dataDir, binary })
  writeFileSync(`${binary}.break`, "")
  process.kill(server.status().pid ?? 0, "SIGKILL")
  await until("it is back", () => server.status().restarts === 1)
  expect(existsSync(`${binary}.break`)).toBe(false)
  await connected(server.url, server.credentials.daemon)
})

/** A server whose care is told of, and a client that is let in by it. */
async function watched(options: Partial<NatsServerOptions> = {}) {
  const dataDir = newDataDir()
  const said: Array<string> = []
  const logger = Logger.make(({ message }) => said.push(String(message)))
  const { server } = await start({ dataDir, attendEveryMs: 50, ...options }, logger)
  const isLetIn = (credentials: NatsCredentials): Promise<void> =>
    until("the client is let in", () => mayCome(server.url, credentials))
  const hears = (words: string): Promise<void> =>
    until(`it says ${words}`, () => said.some((line) => line.includes(words)))
  await isLetIn(await letIn(dataDir, "shop"))
  return { server, dataDir, paths: natsPaths(dataDir), isLetIn, hears }
}

test("it is cared for again once its directory can be read again", async () => {
  const { dataDir, paths, isLetIn, hears } = await watched()
  renameSync(paths.root, `${paths.root}.away`)
  writeFileSync(paths.root, "not a directory")
  await hears("Cannot read")
  rmSync(paths.root)
  renameSync(`${paths.root}.away`, paths.root)
  await isLetIn(await letIn(dataDir, "till"))
})

test("peers that could not be written for a while are, too", async () => {
  const cluster = { name: "c1", host: "127.0.0.1", port: 0, user: "route", password: "secret", routes: [] }
  const { server, paths, hears } = await watched({ cluster })
  rmSync(paths.config)
  mkdirSync(paths.config)
  const { publicKey } = await letIn(newDataDir(), "w1")
  const keys = { daemon: publicKey, api: publicKey, raft: publicKey, system: publicKey }
  const peers = { routes: ["127.0.0.1:9"], members: [{ nodeId: "w1", keys }] }
  await expect(Effect.runPromise(server.setPeers(peers))).rejects.toThrow("Cannot write")
  await hears("Cannot write")
  rmdirSync(paths.config)
  await until("they are written", () => existsSync(paths.config))
  const config = readFileSync(paths.config, "utf8")
  expect(config).toContain("@127.0.0.1:9")
  expect(config).toContain(publicKey)
})

test("what could not be written for a while is written once it can be", async () => {
  const { dataDir, paths, isLetIn, hears } = await watched()
  rmSync(paths.config)
  mkdirSync(paths.config)
  const credentials = await letIn(dataDir, "till")
  await hears("Cannot write")
  rmdirSync(paths.config)
  await isLetIn(credentials)
})

test("a clean stop ends nats-server and its guard and leaves nothing to adopt", async () => {
  const dataDir = newDataDir()
  const { server, stop } = await start({ dataDir })
  const process_ = serverOf(server.status())
  const state = JSON.parse(readFileSync(join(dataDir, "nats", "server.json"), "utf8"))
  expect(isAlive(state.guard)).toBe(true)
  await stop()
  expect(isAlive(process_)).toBe(false)
  await until("the guard is gone", () => !isAlive(state.guard))
  expect(existsSync(join(dataDir, "nats", "server.json"))).toBe(false)
})

test("kill -9 of the manager: nats-server outlives it for 2 s, then is ended by its guard", async () => {
  const manager = await startManager(newDataDir())
  const server = serverOf(manager.status)
  // Whatever of this is noticed late, it is no less.
  const killedAt = performance.now()
  manager.child.kill("SIGKILL")
  await gone(manager.child)
  await until("the guard ended it", () => !isAlive(server))
  const outlivedMs = performance.now() - killedAt
  console.log(`kill -9 of the manager: nats-server outlived it for ${outlivedMs.toFixed(0)} ms`)
  expect(outlivedMs).toBeGreaterThan(1_500)
})

test("a manager that is back in time takes the left-over over, with its clients", async () => {
  const dataDir = newDataDir()
  const first = await startManager(dataDir)
  const server = serverOf(first.status)
  const guard = holdGuard(dataDir, endings)
  const client = await connected(first.url, first.credentials)
  let cut = false
  void (async () => {
    for await (const event of client.status()) if (event.type === "disconnect") cut = true
  })()
  const startSecond = await prepare(dataDir)
  first.child.kill("SIGKILL")
  await gone(first.child)
  const second = await startSecond()
  expect(second.status).toMatchObject({ adopted: true, pid: server.pid })
  expect(second.url).toBe(first.url)
  expect(isAlive(guard)).toBe(false)
  await client.flush()
  expect(cut).toBe(false)

  // And what it took over, it supervises: the kernel tells nobody of its death, so it is watched.
  process.kill(server.pid, "SIGKILL")
  await until("a client gets in again", () =>
    connectAs(second.url, second.credentials).then(
      (connection) => connection.close().then(() => true),
      () => false
    )
  )
  second.child.kill("SIGTERM")
  await gone(second.child)
})

test("a left-over that listens elsewhere than wanted is ended, and a new one started", async () => {
  const dataDir = newDataDir()
  const first = await startManager(dataDir)
  const server = serverOf(first.status)
  first.child.kill("SIGKILL")
  await gone(first.child)
  const port = await freePort("127.0.0.1")
  const second = await startManager(dataDir, port)
  expect(second.url).toBe(`nats://127.0.0.1:${port}`)
  expect(isAlive(server)).toBe(false)
  second.child.kill("SIGTERM")
  await gone(second.child)
})

test("a pid that now belongs to another process is neither adopted nor ended", async () => {
  const dataDir = newDataDir()
  const { server, stop } = await start({ dataDir })
  const state = JSON.parse(readFileSync(join(dataDir, "nats", "server.json"), "utf8"))
  await stop()
  const bystander = spawn("sleep", ["60"])
  endings.push(() => bystander.kill("SIGKILL"))
  const pid = bystander.pid ?? 0
  const other = { pid, startTime: state.server.startTime }
  writeFileSync(
    join(dataDir, "nats", "server.json"),
    JSON.stringify({ ...state, server: other, guard: other })
  )
  const again = await start({ dataDir })
  expect(again.server.status()).toMatchObject({ adopted: false })
  expect(identityOf(pid)).toBeDefined()
  expect(server.url).toStartWith("nats://127.0.0.1:")
})

test("a server whose manager was killed before it had written it down is ended at the next start", async () => {
  const dataDir = newDataDir()
  const manager = await startManager(dataDir)
  const stray = serverOf(manager.status)
  rmSync(join(dataDir, "nats", "server.json"))
  manager.child.kill("SIGKILL")
  const { server } = await start({ dataDir, port: Number(new URL(manager.url).port) })
  expect(isAlive(stray)).toBe(false)
  expect(server.url).toBe(manager.url)
})

test("two managers do not share a data dir", async () => {
  const dataDir = newDataDir()
  const manager = await startManager(dataDir)
  expect(start({ dataDir })).rejects.toThrow(`in use by another manager (pid ${manager.child.pid})`)
  await start({ dataDir }).catch(() => {})
  expect(isAlive(serverOf(manager.status))).toBe(true)
  manager.child.kill("SIGTERM")
  await gone(manager.child)
})

test("the installed version is read from the server, and an old one is warned of", async () => {
  const { server } = await start({ dataDir: newDataDir() })
  const { version, warning } = server.status()
  expect(version).toMatch(/^\d+\.\d+\.\d+/)
  if (version.startsWith("2.9.")) expect(warning).toContain("install a newer nats-server")
})
