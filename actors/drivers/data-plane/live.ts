/**
 * The daemon's side of the data plane: finds the process that runs already or starts one, starts another when
 * it dies, and leaves it running when the daemon stops.
 */

import { Buffer } from "node:buffer"
import type { ChildProcess } from "node:child_process"
import { closeSync, mkdirSync, openSync, statfsSync, statSync } from "node:fs"
import process from "node:process"
import { Duration, Effect, Layer, type Scope } from "effect"
import { type Control, openControl } from "#actors/drivers/data-plane/control.ts"
import {
  type DataPlanePaths,
  dataPlanePaths,
  protocolVersion,
  type Status
} from "#actors/drivers/data-plane/protocol.ts"
import {
  DataPlane,
  DataPlaneError,
  type DataPlaneService,
  type PortProblem
} from "#actors/drivers/data-plane.ts"
import { type Endpoint, type Led, nothingLed } from "#actors/drivers/led.ts"
import { privateDirectory, readIfThere } from "#actors/drivers/machine/files.ts"
import { readIdentity } from "#actors/drivers/machine/identity-file.ts"
import { isAlive } from "#actors/drivers/machine/process-identity.ts"
import { stopProcess } from "#actors/drivers/machine/stop-process.ts"
import type { Zone } from "#actors/network/names/zone.ts"
import { keyOfPort, type PublishedPort } from "#actors/network/plan.ts"
import { ownProgram, selfCommand, spawn } from "#runtime/platform.ts"
import { wordsOf } from "#runtime/words-of.ts"

export interface DataPlaneOptions {
  /** The last tables, the process's identity and its log lie in `<dataDir>/data-plane/`. */
  readonly dataDir: string
  /** Its control socket is `<runDir>/data-plane.sock`. */
  readonly runDir: string
}

/** What `startDataPlane` gives: the driver, and what `doctor` and tests look at. */
export interface LiveDataPlane extends DataPlaneService {
  readonly status: Effect.Effect<Status, DataPlaneError>
}

const startWithinMs = 10_000
const answerWithinMs = 10_000
const greetWithinMs = 2_000
const letGoWithinMs = 1_000
const lookEveryMs = 10
const firstDelayMs = 50
const longestDelayMs = 2_000
const logBytes = 1024 * 1024
/** What its table, its identity and a few words take. */
const leastFreeBytes = 64 * 1024
/** Longest path of a unix socket on Linux, in bytes, without the closing zero. */
const longestSocketPath = 107

const entry = ownProgram("cli/data-plane.ts")

/** The data plane of this node. Its process outlives the scope; `stopDataPlane` ends it. */
export const layer = (options: DataPlaneOptions): Layer.Layer<DataPlane, DataPlaneError> =>
  Layer.effect(DataPlane, startDataPlane(options))

export const DataPlaneLive = { layer }

export const startDataPlane = Effect.fn("dataPlane.start")(function* (
  options: DataPlaneOptions
): Effect.fn.Return<LiveDataPlane, DataPlaneError, Scope.Scope> {
  const paths = dataPlanePaths(options.dataDir, options.runDir)
  if (Buffer.byteLength(paths.socket) > longestSocketPath) {
    return yield* failed(
      `the path of its socket, ${paths.socket}, is longer than the ${longestSocketPath} bytes that the system allows`
    )
  }
  yield* Effect.try({ try: () => makeDirectories(paths, options.runDir), catch: failed })

  const attended: Attended = { control: yield* obtain(paths, options), table: undefined, zones: undefined }
  yield* Effect.addFinalizer(() => Effect.sync(() => attended.control?.close()))
  yield* Effect.forkScoped(attend(attended, paths, options))
  const status = whenReachable(attended, (control) => askStatus(control, greetWithinMs))
  return {
    publish: (ports) => {
      attended.table = ports
      // The newest table, also when this call had to wait and a later one overtook it.
      return whenReachable(attended, (control) => publish(control, attended.table ?? ports))
    },
    name: (zones) => {
      attended.zones = zones
      return whenReachable(attended, (control) => name(control, attended.zones ?? zones))
    },
    held: status.pipe(Effect.map(heldPorts)),
    count: Effect.suspend(() => count(attended)),
    status
  }
})

/** Ends the data plane and with it every connection it carries; for leaving the cluster. */
export const stopDataPlane = Effect.fn("dataPlane.stop")(function* (options: DataPlaneOptions) {
  const paths = dataPlanePaths(options.dataDir, options.runDir)
  const identity = readIdentity(paths.process)
  const control = yield* Effect.promise(() => openControl(paths.socket))
  if (control !== undefined) {
    yield* Effect.promise(() => control.ask({ ask: "stop" }, greetWithinMs).catch(() => undefined))
    control.close()
  }
  if (identity !== undefined) yield* stopProcess(identity)
})

/** The present conversation, and what the process should know when it is another. */
interface Attended {
  control: Control | undefined
  table: ReadonlyArray<PublishedPort> | undefined
  zones: ReadonlyArray<Zone> | undefined
}

/** Starts the process again whenever it dies; it takes up its last table by itself, and is told ours. */
const attend = Effect.fnUntraced(function* (
  attended: Attended,
  paths: DataPlanePaths,
  options: DataPlaneOptions
) {
  let delayMs = firstDelayMs
  while (true) {
    const { control } = attended
    if (control !== undefined) {
      yield* Effect.promise(() => control.closed)
      attended.control = undefined
      yield* Effect.logWarning("The data plane ended; starting it again")
    }
    yield* Effect.sleep(Duration.millis(delayMs))
    const next = yield* obtain(paths, options).pipe(
      Effect.tap((found) => (attended.table === undefined ? Effect.void : publish(found, attended.table))),
      Effect.tap((found) => (attended.zones === undefined ? Effect.void : name(found, attended.zones))),
      Effect.catch((error) => Effect.as(Effect.logError(error.message), undefined))
    )
    attended.control = next
    delayMs = next === undefined ? Math.min(longestDelayMs, delayMs * 2) : firstDelayMs
  }
})

/** Runs `use` against the process, waiting a while for it to come back when it is away. */
const whenReachable = <A>(
  attended: Attended,
  use: (control: Control) => Effect.Effect<A, DataPlaneError>
): Effect.Effect<A, DataPlaneError> =>
  Effect.gen(function* () {
    const deadline = performance.now() + answerWithinMs
    while (true) {
      const { control } = attended
      const result = control === undefined ? undefined : yield* Effect.result(use(control))
      if (result?._tag === "Success") return result.success
      // Still the same conversation: it was heard and refused.
      if (result !== undefined && attended.control === control && !(yield* hasEnded(control))) {
        return yield* result.failure
      }
      if (performance.now() > deadline) return yield* failed("it does not come back")
      yield* Effect.sleep(Duration.millis(lookEveryMs * 2))
    }
  })

const hasEnded = (control: Control | undefined): Effect.Effect<boolean> =>
  Effect.promise(() =>
    Promise.race([
      control?.closed.then(() => true) ?? Promise.resolve(true),
      new Promise<boolean>((resolve) => setTimeout(resolve, 1, false))
    ])
  )

/** The process that runs already, if it is one we can talk to; else a new one. */
const obtain = Effect.fnUntraced(function* (
  paths: DataPlanePaths,
  options: DataPlaneOptions
): Effect.fn.Return<Control, DataPlaneError> {
  const found = yield* Effect.promise(() => openControl(paths.socket))
  if (found !== undefined) {
    const status = yield* askStatus(found, greetWithinMs).pipe(Effect.catch(() => Effect.succeed(undefined)))
    if (status?.version === protocolVersion) return found
    found.close()
  }
  // It is of another version, or hangs, or lost its socket: it must let go of its ports first.
  const left = readIdentity(paths.process)
  if (left !== undefined && isAlive(left)) yield* stopProcess(left, letGoWithinMs)
  return yield* launch(paths, options)
})

const launch = Effect.fnUntraced(function* (
  paths: DataPlanePaths,
  options: DataPlaneOptions
): Effect.fn.Return<Control, DataPlaneError> {
  const child = yield* Effect.try({ try: () => spawnProcess(paths, options), catch: failed })
  const control = yield* Effect.promise(() => waitFor(child, paths))
  if (control !== undefined) return control
  child.kill("SIGKILL")
  const said = (readIfThere(paths.log) ?? "").trim().split("\n").slice(-3).join(" ")
  // What it says there is lost.
  const words = said === "" && isFull(paths.root) ? `the disk of ${paths.root} is full` : said
  return yield* failed(`it did not open ${paths.socket}${words === "" ? "" : `: ${words}`}`)
})

function isFull(path: string): boolean {
  const { bavail, bsize } = statfsSync(path)
  return bavail * bsize < leastFreeBytes
}

async function waitFor(child: ChildProcess, paths: DataPlanePaths): Promise<Control | undefined> {
  let ended = false
  child.once("exit", () => {
    ended = true
  })
  child.once("error", () => {
    ended = true
  })
  for (let waited = 0; waited < startWithinMs && !ended; waited += lookEveryMs) {
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs))
    const control = await openControl(paths.socket)
    if (control !== undefined) return control
  }
  return undefined
}

function spawnProcess(paths: DataPlanePaths, options: DataPlaneOptions): ChildProcess {
  const log = openSync(paths.log, sizeOf(paths.log) > logBytes ? "w" : "a", 0o600)
  try {
    const { command, args } = selfCommand(entry, ["--data-dir", options.dataDir, "--run-dir", options.runDir])
    const child = spawn(
      command,
      [...args],
      // A Ctrl-C at the daemon's terminal is not meant for the traffic; neither are the daemon's own settings.
      { cwd: "/", detached: true, stdio: ["ignore", log, log], env: bareEnvironment() }
    )
    child.unref()
    return child
  } finally {
    closeSync(log)
  }
}

const bareEnvironment = (): NodeJS.ProcessEnv => {
  const { PATH, HOME, DENO_DIR, TMPDIR } = process.env
  return Object.fromEntries(
    Object.entries({ PATH, HOME, DENO_DIR, TMPDIR }).filter(([, value]) => value !== undefined)
  )
}

const publish = (
  control: Control,
  ports: ReadonlyArray<PublishedPort>
): Effect.Effect<ReadonlyArray<PortProblem>, DataPlaneError> =>
  Effect.tryPromise({
    try: () => control.ask({ ask: "publish", ports }, answerWithinMs),
    catch: failed
  }).pipe(
    Effect.flatMap((answer) =>
      "problems" in answer
        ? Effect.succeed(answer.problems)
        : Effect.fail(failed("it answered something else"))
    )
  )

const name = (
  control: Control,
  zones: ReadonlyArray<Zone>
): Effect.Effect<ReadonlyArray<string>, DataPlaneError> =>
  Effect.tryPromise({ try: () => control.ask({ ask: "names", zones }, answerWithinMs), catch: failed }).pipe(
    Effect.flatMap((answer) =>
      "named" in answer ? Effect.succeed(answer.named) : Effect.fail(failed("it answered something else"))
    )
  )

const askStatus = (control: Control, withinMs: number): Effect.Effect<Status, DataPlaneError> =>
  Effect.tryPromise({ try: () => control.ask({ ask: "status" }, withinMs), catch: failed }).pipe(
    Effect.flatMap((answer) =>
      "status" in answer ? Effect.succeed(answer.status) : Effect.fail(failed("it answered something else"))
    )
  )

const failed = (error: unknown): DataPlaneError =>
  new DataPlaneError({
    message: `The data plane fails: ${wordsOf(error)}`
  })

/** Who has no port open is not asked. */
const count = ({ control, table }: Attended): Effect.Effect<Led, DataPlaneError> =>
  control === undefined || table === undefined
    ? Effect.fail(failed("it is away, or was told no ports yet"))
    : table.length === 0
      ? Effect.succeed(nothingLed)
      : askStatus(control, greetWithinMs).pipe(Effect.map(ledBy))

/** Ports of which it does not say whose they are stand for nothing. */
export function ledBy({ ports }: Pick<Status, "ports">): Led {
  const counts = new Map<string, number>()
  const endpoints = new Map<string, Endpoint>()
  for (const { serviceId, protocol, publishedPort, host = "", accepted } of ports) {
    if (serviceId === undefined) continue
    const counter = `${keyOfPort({ protocol, publishedPort })} ${host}`
    counts.set(counter, accepted)
    endpoints.set(counter, { _tag: "Port", serviceId, protocol, publishedPort })
  }
  return { counts, endpoints }
}

const heldPorts = ({ ports }: Status): ReadonlySet<number> =>
  new Set(
    ports.flatMap(({ protocol, publishedPort, held }) =>
      protocol === "tcp" && held > 0 ? [publishedPort] : []
    )
  )

function makeDirectories(paths: DataPlanePaths, runDir: string): void {
  privateDirectory(paths.root)
  mkdirSync(runDir, { recursive: true })
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size
  } catch {
    return 0
  }
}
