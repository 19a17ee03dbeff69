/** Tasks as supervised processes of this machine, for machines without a Docker Engine. */
import type { ChildProcess } from "node:child_process"
import { randomBytes } from "node:crypto"
import os from "node:os"
import process from "node:process"
import { Effect, Layer, PubSub, Stream } from "effect"
import { normaliseArchitecture } from "#actors/drivers/engine/translate.ts"
import {
  type ContainerEvent,
  type ContainerRequest,
  type ContainerState,
  Executor,
  ExecutorError
} from "#actors/drivers/executor.ts"
import { taskLabel } from "#actors/drivers/labels.ts"
import { signalGroup, signalProcess } from "#actors/drivers/machine/process-identity.ts"
import { prepare, refuseImage } from "#actors/drivers/process/prepare.ts"
import { Processes } from "#actors/drivers/process/processes.ts"
import { readLog } from "#actors/drivers/process/read-log.ts"
import { type Command, taskFolder } from "#actors/drivers/process/records.ts"
import { sampleSession } from "#actors/drivers/process/sample.ts"
import { findUser } from "#actors/drivers/process/users.ts"
import { ownProgram, selfCommand, spawn } from "#runtime/platform.ts"

export interface ProcessExecutorOptions {
  /** Where records and logs of tasks are kept; one node's alone. */
  readonly folder: string
}

// A shim answers within 0.1 s on an idle machine.
const shimPatience = "10 seconds"
// What a killed process needs to be gone, unless the kernel holds it.
const deathPatience = "10 seconds"

const refusal = (operation: string, status: number, message: string): ExecutorError =>
  new ExecutorError({ operation, status, temporary: false, message })
const unknown = (operation: string, id: string) => refusal(operation, 404, `No such container: ${id}`)
const noNetworks = refusal("ensure network", 400, "networks are not possible on a node that runs processes")

export const ProcessExecutor = {
  /** Adopts the processes that an earlier node left. Fails when the folder cannot be used. */
  layer: (options: ProcessExecutorOptions) =>
    Layer.effect(
      Executor,
      Effect.gen(function* () {
        const events = yield* PubSub.unbounded<ContainerEvent>()
        const processes = yield* Effect.acquireRelease(
          Effect.try({
            try: () => new Processes(options.folder, (event) => PubSub.publishUnsafe(events, event)),
            catch: (error) =>
              new ExecutorError({
                operation: "open",
                temporary: false,
                message: `Cannot use ${options.folder}: ${(error as Error).message}`
              })
          }),
          (opened) => Effect.sync(() => opened.close())
        )
        return makeExecutor(processes, events)
      })
    )
}

function makeExecutor(processes: Processes, events: PubSub.PubSub<ContainerEvent>): Executor["Service"] {
  const onDisk = <A>(operation: string, work: () => A): Effect.Effect<A, ExecutorError> =>
    Effect.try({
      try: work,
      catch: (error) =>
        error instanceof ExecutorError
          ? error
          : new ExecutorError({ operation, temporary: true, message: (error as Error).message })
    })

  const create = (name: string, request: ContainerRequest) =>
    onDisk("create", () => {
      const prepared = prepare(request)
      if ("refusal" in prepared) throw refusal("create", 400, prepared.refusal)
      const taskId = request.Labels[taskLabel]
      const same = processes.find(({ labels }) => taskId !== undefined && labels[taskLabel] === taskId)
      if (same !== undefined) return same.id
      const holder = processes.find((record) => record.name === name)
      if (holder !== undefined) {
        throw refusal(
          "create",
          409,
          `Conflict. The container name "/${name}" is already in use by container "${holder.id}".`
        )
      }
      const stopSignal = readSignal(prepared.stopSignal)
      if (stopSignal === undefined) throw refusal("create", 400, `invalid signal: ${prepared.stopSignal}`)
      const id = randomBytes(32).toString("hex")
      processes.add({
        id,
        name,
        labels: request.Labels,
        command: prepared.command,
        user: prepared.user,
        stopSignal,
        ...(typeof request.StopTimeout === "number" && { graceMs: request.StopTimeout * 1000 }),
        createdAt: new Date().toISOString()
      })
      return id
    })

  /** Takes a name as well as an id, as the Engine does. */
  const idOf = (reference: string): string =>
    processes.get(reference)?.id ?? processes.find(({ name }) => name === reference)?.id ?? reference

  const start = (reference: string) =>
    Effect.gen(function* () {
      const id = idOf(reference)
      const record = processes.get(id)
      if (record === undefined) return yield* unknown("start", reference)
      const { status } = yield* onDisk("start", () => processes.state(id) ?? { status: "dead" })
      if (status === "running") return
      if (status === "exited")
        return yield* refusal("start", 409, `Container ${id} has run; it runs only once`)
      const user = record.user === "" ? undefined : findUser(record.user)
      if (typeof user === "string") return yield* refusal("start", 400, user)
      const home = user?.home ?? os.homedir()
      const command: Command = {
        ...record.command,
        environment: { HOME: home, ...record.command.environment },
        ...(user === undefined ? {} : { uid: user.uid, gid: user.gid })
      }
      const error = yield* runShim(processes.root, id, command)
      processes.started(id)
      if (error !== "") return yield* refusal("start", 400, error)
    }).pipe(
      // A shim that was begun is waited for: it is a matter of milliseconds, and what it says is not lost.
      Effect.uninterruptible
    )

  /** Waits for the end of a task; a task that never ran or is gone has ended. */
  const ended = (id: string) =>
    Effect.callback<void>((resume) => {
      const leave = processes.onEnd(id, () => resume(Effect.void))
      return Effect.sync(leave)
    })

  const running = (id: string) =>
    onDisk("stop", () => {
      const state = processes.state(id)
      return state?.status === "running" ? processes.process(id) : undefined
    })

  const kill = (id: string) =>
    Effect.gen(function* () {
      const target = yield* running(id)
      if (target === undefined) return
      signalGroup(target, "SIGKILL")
      yield* Effect.timeoutOrElse(ended(id), {
        duration: deathPatience,
        orElse: () =>
          Effect.fail(
            new ExecutorError({
              operation: "kill",
              temporary: true,
              message: `process ${target.pid} of ${id} does not die`
            })
          )
      })
    })

  const stop = (id: string, graceMs: number) =>
    Effect.gen(function* () {
      const target = yield* running(id)
      const record = processes.get(id)
      if (target === undefined || record === undefined) return
      // Its own process alone, as in a container; the rest of its group goes with it.
      signalProcess(target, record.stopSignal)
      yield* Effect.timeoutOrElse(ended(id), { duration: graceMs, orElse: () => kill(id) })
    })

  return Executor.of({
    kind: "process",
    // Nothing stands between it and its processes.
    ping: Effect.void,
    describe: Effect.sync(() => ({
      Hostname: os.hostname(),
      Platform: { Architecture: normaliseArchitecture(os.arch()), OS: os.platform() },
      Resources: { NanoCPUs: os.availableParallelism() * 1e9, MemoryBytes: os.totalmem() },
      Engine: { EngineVersion: "process", Labels: {}, Plugins: [] },
      Executor: "process"
    })),
    pull: (image) => {
      const problem = refuseImage(image)
      return problem === undefined ? Effect.void : Effect.fail(refusal("pull", 404, problem))
    },
    create,
    start,
    stop,
    kill,
    remove: (id) =>
      Effect.andThen(
        kill(id),
        onDisk("remove", () => processes.drop(id))
      ),
    inspect: (id) => onDisk("inspect", () => processes.state(id)),
    // A process has no health check.
    health: (id) =>
      onDisk("health", () => {
        const state = processes.state(id)
        return state && { labels: state.labels, probes: [] }
      }),
    list: onDisk("list", () =>
      processes
        .ids()
        .map((id) => processes.state(id))
        .filter((state): state is ContainerState => state?.labels[taskLabel] !== undefined)
    ),
    events: Stream.fromPubSub(events).pipe(Stream.filter(({ labels }) => labels[taskLabel] !== undefined)),
    logs: (reference, options) =>
      Stream.suspend(() => {
        const id = idOf(reference)
        if (processes.get(id) === undefined) return Stream.fail(unknown("logs", reference))
        return readLog(
          taskFolder(processes.root, id),
          options,
          () => processes.state(id)?.status !== "running"
        )
      }),
    console: () =>
      Effect.fail(refusal("console", 501, "consoles are not possible on a node that runs processes")),
    stats: (reference) =>
      onDisk("stats", () => {
        const state = processes.state(idOf(reference))
        if (state === undefined) throw unknown("stats", reference)
        if (state.status !== "running") throw refusal("stats", 409, `Container ${reference} is not running`)
        // The network is the machine's; what of it is this task's is not known.
        return { at: Date.now(), ...sampleSession(state.pid), rxBytes: 0, txBytes: 0 }
      }),
    ensureNetwork: () => Effect.fail(noNetworks),
    removeNetwork: () => Effect.void,
    listNetworks: Effect.succeed([])
  })
}

/** `SIGTERM`, `TERM` or `15`; `undefined` when this machine has no such signal. */
function readSignal(text: string): NodeJS.Signals | undefined {
  const known = Object.entries(os.constants.signals) as Array<[NodeJS.Signals, number]>
  const name = text.toUpperCase().replace(/^(SIG)?/, "SIG")
  return known.find(([signalName, number]) => signalName === name || String(number) === text)?.[0]
}

/** Starts a shim that outlives us, and waits for its word: empty when the process runs, else why not. */
function runShim(root: string, id: string, command: Command): Effect.Effect<string, ExecutorError> {
  const shim = selfCommand(ownProgram("actors/drivers/process/shim.ts"), [root, id])
  const program = shim.command
  const failed = (message: string) => new ExecutorError({ operation: "start", temporary: true, message })
  return Effect.callback<string, ExecutorError>((resume) => {
    let child: ChildProcess
    try {
      child = spawn(program, [...shim.args], {
        cwd: "/",
        // Nothing of the node's own environment: it holds what tasks must not see.
        env: { PATH: process.env.PATH ?? "/usr/bin:/bin", HOME: os.homedir() },
        detached: true,
        stdio: ["pipe", "pipe", "ignore"]
      })
    } catch (error) {
      return resume(Effect.fail(failed(`Cannot start ${program}: ${(error as Error).message}`)))
    }
    child.unref()
    child.once("error", (error) => resume(Effect.fail(failed(`Cannot start ${program}: ${error.message}`))))
    let heard = ""
    child.stdout?.on("data", (chunk: Buffer) => {
      heard += chunk.toString()
      if (!heard.includes("\n")) return
      child.stdout?.destroy()
      resume(Effect.succeed((JSON.parse(heard) as { error?: string }).error ?? ""))
    })
    child.stdout?.once("end", () => resume(Effect.fail(failed(`the shim of ${id} ended without a word`))))
    child.stdin?.on("error", () => {
      // It ended before it was told; its output says so.
    })
    child.stdin?.end(JSON.stringify(command))
  }).pipe(
    Effect.timeoutOrElse({
      duration: shimPatience,
      orElse: () => Effect.fail(failed(`the shim of ${id} did not answer`))
    })
  )
}
