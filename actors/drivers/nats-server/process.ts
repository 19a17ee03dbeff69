/**
 * One nats-server process: found or started, known by pid and start time, told to reload, ended.
 *
 * A server that a crashed manager left behind is taken over when it runs what we would start now, else ended.
 */
import type { ChildProcess } from "node:child_process"
import { closeSync, existsSync, openSync, readdirSync, rmSync } from "node:fs"
import net from "node:net"
import { availableParallelism } from "node:os"
import { delimiter, join } from "node:path"
import process from "node:process"
import { Duration, Effect, Schema } from "effect"
import { privateDirectory, readIfThere } from "#actors/drivers/machine/files.ts"
import { holderOfPort } from "#actors/drivers/machine/port-holder.ts"
import {
  commandLines,
  identityOf,
  isAlive,
  type ProcessIdentity
} from "#actors/drivers/machine/process-identity.ts"
import type { NatsPaths } from "#actors/drivers/nats-server/paths.ts"
import { spawn } from "#runtime/platform.ts"
import { wordsOf } from "#runtime/words-of.ts"

export class NatsServerError extends Schema.TaggedError<NatsServerError>()("NatsServerError", {
  message: Schema.String
}) {}

const failure = (message: string): NatsServerError => new NatsServerError({ message })

/** A nats-server that runs. `exited` completes once, with how it ended in words. */
export interface RunningServer {
  readonly identity: ProcessIdentity
  readonly adopted: boolean
  readonly port: number
  /** Where other servers join it, when it is one of a cluster. */
  readonly routePort: number | undefined
  readonly version: string
  readonly exited: Promise<string>
}

const readyWithinMs = 10_000
/** nats-server writes its ports file 20 to 40 ms after it was started. */
const lookEveryMs = 10
/** Nobody tells us when a process ends that is not our child. */
const watchAdoptedEveryMs = 250

/** The executable, absolute. Fails with how to install it. */
export const findBinary = (named: string | undefined): Effect.Effect<string, NatsServerError> =>
  Effect.suspend(() => {
    if (named !== undefined) {
      return existsSync(named)
        ? Effect.succeed(named)
        : Effect.fail(failure(`Cannot start nats-server: there is no file ${named}`))
    }
    const places = [
      ...(process.env.PATH ?? "").split(delimiter),
      // Where packages put it, also when PATH is a user's that leaves them out.
      "/usr/sbin",
      "/usr/local/bin",
      "/usr/local/sbin",
      "/opt/homebrew/bin"
    ]
    for (const place of places) {
      if (place !== "" && existsSync(join(place, "nats-server")))
        return Effect.succeed(join(place, "nats-server"))
    }
    return Effect.fail(
      failure(
        "Cannot start nats-server: it is not installed on this machine. `npm run setup` installs it on Debian and Ubuntu " +
          "(apt-get install nats-server); elsewhere take it from https://nats.io/download, or name a NATS cluster with --nats URL"
      )
    )
  })

/** Starts nats-server with the configuration at `paths.config` and waits until it takes connections. */
export const startServer = Effect.fnUntraced(function* (options: {
  readonly binary: string
  readonly paths: NatsPaths
  readonly host: string
  readonly port: number
}): Effect.fn.Return<RunningServer, NatsServerError> {
  const { binary, paths, host } = options
  const { child, exited } = yield* Effect.try({
    try: () => spawnServer(binary, paths),
    catch: (error) => failure(`Cannot start ${binary}: ${wordsOf(error)}`)
  })
  // A child nobody waits for any more must not stay behind.
  const abandon = Effect.sync(() => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL")
  })
  return yield* Effect.gen(function* () {
    const identity = child.pid === undefined ? undefined : identityOf(child.pid)
    const ready = yield* Effect.tryPromise({
      try: () => portOf(child, exited, paths),
      catch: (error) => failure(`Cannot start nats-server: ${wordsOf(error)}`)
    })
    if (identity === undefined || ready._tag === "Ended") {
      return yield* failure(
        explainEnd(options, child.pid, ready._tag === "Ended" ? ready.how : "it ended at once")
      )
    }
    if (ready._tag === "Late") {
      return yield* failure(
        `Cannot start nats-server: it took no connections within ${readyWithinMs / 1000} s, see ${paths.log}`
      )
    }
    const version = yield* greet(host, ready.port, 2_000)
    return { identity, adopted: false, port: ready.port, routePort: ready.routePort, version, exited }
  }).pipe(
    Effect.tapError(() => abandon),
    Effect.onInterrupt(() => abandon)
  )
})

/**
 * Where there is little to share, Go's own threads wake each other more than they work: on two processors one thread
 * took a quarter to two fifths less processor time for the same messages.
 */
const environment = (processors: number): NodeJS.ProcessEnv =>
  processors > 2 ? process.env : { GOMAXPROCS: "1", ...process.env }

function spawnServer(
  binary: string,
  paths: NatsPaths
): { readonly child: ChildProcess; readonly exited: Promise<string> } {
  rmSync(paths.ports, { recursive: true, force: true })
  privateDirectory(paths.ports)
  // A file rather than a pipe: the server would die of writing to a pipe whose reader crashed.
  const output = openSync(paths.output, "w", 0o600)
  try {
    const child = spawn(binary, ["-c", paths.config], {
      cwd: paths.root,
      detached: true,
      env: environment(availableParallelism()),
      stdio: ["ignore", output, output]
    })
    const exited = new Promise<string>((resolve) => {
      child.once("error", (error) => resolve(error.message))
      child.once("exit", (code, signal) =>
        resolve(signal === null ? `exit code ${code}` : `killed by ${signal}`)
      )
    })
    return { child, exited }
  } finally {
    closeSync(output)
  }
}

type Readiness =
  | { readonly _tag: "Ready"; readonly port: number; readonly routePort: number | undefined }
  | { readonly _tag: "Ended"; readonly how: string }
  | { readonly _tag: "Late" }

async function portOf(child: ChildProcess, exited: Promise<string>, paths: NatsPaths): Promise<Readiness> {
  const ended = exited.then((how): Readiness => ({ _tag: "Ended", how }))
  for (let waited = 0; waited < readyWithinMs; waited += lookEveryMs) {
    const ports = child.pid === undefined ? undefined : portsInFile(paths, child.pid)
    if (ports !== undefined) return { _tag: "Ready", ...ports }
    const pause = new Promise<undefined>((resolve) => setTimeout(resolve, lookEveryMs, undefined))
    const first = await Promise.race([ended, pause])
    if (first !== undefined) return first
  }
  return { _tag: "Late" }
}

const PortsFile = Schema.Struct({
  nats: Schema.Array(Schema.String),
  cluster: Schema.optionalKey(Schema.Array(Schema.String))
})

/** The ports that a server wrote down when it was ready, `<name>_<pid>.ports`. */
function portsInFile(
  paths: NatsPaths,
  pid: number
): { readonly port: number; readonly routePort: number | undefined } | undefined {
  const file = readdirSync(paths.ports).find((name) => name.endsWith(`_${pid}.ports`))
  const text = file === undefined ? undefined : readIfThere(join(paths.ports, file))
  // The file may be met between its creation and its first byte.
  if (text === undefined || !text.trimEnd().endsWith("}")) return undefined
  const { nats, cluster } = Schema.decodeUnknownSync(PortsFile)(JSON.parse(text))
  const port = portIn(nats[0])
  return port === undefined ? undefined : { port, routePort: portIn(cluster?.[0]) }
}

const portIn = (url: string | undefined): number | undefined =>
  url === undefined ? undefined : Number(new URL(url).port)

function explainEnd(
  options: { readonly paths: NatsPaths; readonly host: string; readonly port: number },
  pid: number | undefined,
  how: string
): string {
  const logged = (readIfThere(options.paths.log) ?? "")
    .split("\n")
    .filter((line) => line.startsWith(`[${pid}]`))
  const said = `${readIfThere(options.paths.output) ?? ""}\n${logged.join("\n")}`
  if (/address already in use/i.test(said) && options.port !== 0) {
    const holder = holderOfPort("tcp", options.port)
    return (
      `Cannot start nats-server: port ${options.port} on ${options.host} is in use` +
      `${holder === undefined ? "" : ` by ${holder}`}; choose another with --nats-port, or 0 for any free one`
    )
  }
  const complaint = said
    .split("\n")
    .filter((line) => /\[(FTL|ERR)\]|^nats-server:/.test(line))
    .at(-1)
  return `Cannot start nats-server: ${complaint?.replace(/^.*\[(FTL|ERR)\] */, "").trim() ?? how}`
}

/** Takes over a server that runs already; it is watched by its pid because it is nobody's child here. */
export const adoptServer = Effect.fnUntraced(function* (
  identity: ProcessIdentity,
  host: string,
  port: number,
  routePort: number | undefined
): Effect.fn.Return<RunningServer, NatsServerError> {
  const version = yield* greet(host, port, 1_000)
  const exited = new Promise<string>((resolve) => {
    const timer = setInterval(() => {
      if (isAlive(identity)) return
      clearInterval(timer)
      resolve("it ended; how is not known, because another process had started it")
    }, watchAdoptedEveryMs)
    timer.unref()
  })
  return { identity, adopted: true, port, routePort, version, exited }
})

const Info = Schema.Struct({ version: Schema.String })

/** Connects, reads the greeting and leaves: proof that a server answers, and which version it is. */
export const greet = (host: string, port: number, withinMs: number): Effect.Effect<string, NatsServerError> =>
  Effect.callback<string, NatsServerError>((resume) => {
    let text = ""
    const socket = net.connect({ host, port })
    const refuse = (why: string): void =>
      resume(Effect.fail(failure(`No NATS server answers at ${host}:${port}: ${why}`)))
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1")
      const end = text.indexOf("\r\n")
      if (end < 0 && text.length < 65_536) return
      socket.destroy()
      try {
        resume(
          Effect.succeed(
            Schema.decodeUnknownSync(Info)(JSON.parse(text.slice(0, end).replace(/^INFO /, ""))).version
          )
        )
      } catch {
        refuse("what answers there does not greet as a NATS server does")
      }
    })
    socket.on("error", (error) => refuse(error.message))
    socket.on("close", () => refuse("the connection was closed"))
    return Effect.sync(() => socket.destroy())
  }).pipe(
    Effect.timeoutOrElse({
      duration: Duration.millis(withinMs),
      orElse: () =>
        Effect.fail(failure(`No NATS server answers at ${host}:${port}: no greeting within ${withinMs} ms`))
    })
  )

/** Every living nats-server that runs this very configuration file, as /proc tells; none where there is no /proc. */
export function serversWithConfig(config: string): ReadonlyArray<ProcessIdentity> {
  const found: Array<ProcessIdentity> = []
  for (const { pid, words } of commandLines()) {
    if (!words[0]?.endsWith("nats-server") || words[1] !== "-c" || words[2] !== config) continue
    const identity = identityOf(pid)
    if (identity !== undefined) found.push(identity)
  }
  return found
}
