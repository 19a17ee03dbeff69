/** What every executor promises, whatever runs the tasks. Called by one test file per implementation. */
import { afterAll, describe, expect, test } from "bun:test"
import { Cause, Effect, Exit, Fiber, type Layer, ManagedRuntime, Stream } from "effect"
import {
  type ContainerEvent,
  type ContainerRequest,
  type ContainerState,
  Executor,
  type ExecutorError,
  type ExecutorService,
  type LogLine,
  type LogOptions
} from "#actors/drivers/executor.ts"
import { eventually, uniqueName } from "#test/support/engine.ts"

export interface ExecutorUnderTest {
  readonly kind: ExecutorService["kind"]
  /** An image with a shell, or whatever stands for one. */
  readonly image: string
  /** Another executor over the same tasks each time it is called, as after a restart of the node. */
  readonly open: () => Layer.Layer<Executor, ExecutorError>
}

const taskLabel = "com.docker.swarm.task.id"

/** A running executor, and the clean-up of what a test made with it. */
export class Bench {
  readonly #runtime: ManagedRuntime.ManagedRuntime<Executor, ExecutorError>
  readonly #image: string
  #executor: ExecutorService | undefined

  constructor(under: ExecutorUnderTest) {
    this.#runtime = ManagedRuntime.make(under.open())
    this.#image = under.image
  }

  async executor(): Promise<ExecutorService> {
    this.#executor ??= await this.#runtime.runPromise(Executor.use(Effect.succeed))
    return this.#executor
  }

  async run<A>(use: (executor: ExecutorService) => Effect.Effect<A, ExecutorError>): Promise<A> {
    return this.#runtime.runPromise(use(await this.executor()))
  }

  /** The failure that `use` must end with. */
  async refusal<A>(
    use: (executor: ExecutorService) => Effect.Effect<A, ExecutorError>
  ): Promise<ExecutorError> {
    const exit = await this.#runtime.runPromiseExit(use(await this.executor()))
    if (Exit.isSuccess(exit)) throw new Error(`Expected a failure, got ${JSON.stringify(exit.value)}`)
    return Cause.squash(exit.cause) as ExecutorError
  }

  /** Collects what a stream gives until the returned function is called. */
  async listen<A>(
    use: (executor: ExecutorService) => Stream.Stream<A, ExecutorError>
  ): Promise<{ seen: Array<A>; ended: () => boolean; close: () => Promise<void> }> {
    const seen: Array<A> = []
    let ended = false
    const executor = await this.executor()
    const fiber = this.#runtime.runFork(
      Stream.runForEach(use(executor), (value) => Effect.sync(() => seen.push(value))).pipe(
        Effect.onExit(() => Effect.sync(() => (ended = true)))
      )
    )
    return {
      seen,
      ended: () => ended,
      close: () => Effect.runPromise(Effect.asVoid(Fiber.interrupt(fiber)))
    }
  }

  /** A task of that shell script. */
  request(script: string, more: Partial<ContainerRequest> = {}): ContainerRequest {
    const { Labels, ...rest } = more
    return {
      Image: this.#image,
      Cmd: ["sh", "-c", script],
      HostConfig: {},
      Networks: [],
      ...rest,
      Labels: { [taskLabel]: uniqueName("task"), ...Labels }
    }
  }

  create(script: string, more: Partial<ContainerRequest> = {}): Promise<string> {
    return this.run((executor) => executor.create(uniqueName("contract"), this.request(script, more)))
  }

  async start(script: string, more: Partial<ContainerRequest> = {}): Promise<string> {
    const id = await this.create(script, more)
    await this.run((executor) => executor.start(id))
    return id
  }

  async state(id: string): Promise<ContainerState> {
    const state = await this.run((executor) => executor.inspect(id))
    if (state === undefined) throw new Error(`${id} is gone`)
    return state
  }

  async exited(id: string): Promise<ContainerState> {
    await eventually(async () => (await this.state(id)).status === "exited", `${id} exits`)
    return this.state(id)
  }

  logs(id: string, options: Partial<LogOptions> = {}): Promise<Array<LogLine>> {
    return this.run((executor) =>
      Stream.runCollect(executor.logs(id, { ...allLogs, ...options })).pipe(Effect.map((lines) => [...lines]))
    )
  }

  /** Waits until the task has said `word`. */
  async said(id: string, word: string): Promise<void> {
    await eventually(
      async () => (await this.logs(id)).some((line) => textOf(line).includes(word)),
      `"${word}" is said`
    )
  }

  async close(): Promise<void> {
    const left = await this.run((executor) => executor.list)
    await Promise.all(left.map(({ id }) => this.run((executor) => executor.remove(id))))
    await this.#runtime.dispose()
  }

  /** Ends this executor but leaves its tasks alone, as when a node stops. */
  leave(): Promise<void> {
    return this.#runtime.dispose()
  }
}

export const allLogs: LogOptions = {
  stdout: true,
  stderr: true,
  follow: false,
  since: 0,
  until: 0,
  tail: "all",
  details: false
}

export const textOf = ({ line }: LogLine): string => new TextDecoder().decode(line)

/** Runs until it is told to stop, and then ends with 3. */
const patient = 'trap "exit 3" TERM; echo up; while :; do sleep 0.05; done'
/** Refuses to stop. */
const stubborn = 'trap "" TERM; echo up; while :; do sleep 0.05; done'

export function executorContract(under: ExecutorUnderTest): void {
  describe(`the ${under.kind} executor, as every executor,`, () => {
    const bench = new Bench(under)
    afterAll(() => bench.close())

    test("describes the machine", async () => {
      const description = await bench.run((executor) => executor.describe)
      expect(description.Hostname).not.toBe("")
      expect(description.Platform.OS).toBe("linux")
      expect(description.Platform.Architecture).toMatch(/^(x86_64|aarch64)$/)
      expect(description.Resources.NanoCPUs).toBeGreaterThanOrEqual(1e9)
      expect(description.Resources.MemoryBytes).toBeGreaterThan(1e8)
      expect(description.Executor).toBe(under.kind)
    })

    test("makes a task without running it, then runs it, then tells its exit code", async () => {
      // Of one that ends at once, an Engine may tell an end before its start.
      const id = await bench.create(patient)
      expect((await bench.state(id)).status).toBe("created")
      await bench.run((executor) => executor.start(id))
      await bench.said(id, "up")
      await bench.run((executor) => executor.stop(id, 20_000))
      const state = await bench.exited(id)
      expect(state.exitCode).toBe(3)
      expect(Date.parse(state.finishedAt)).toBeGreaterThanOrEqual(Date.parse(state.startedAt))
    })

    test("gives the same id when asked to make the same task twice", async () => {
      const [name, request] = [uniqueName("contract"), bench.request("exit 0")]
      const first = await bench.run((executor) => executor.create(name, request))
      const second = await bench.run((executor) => executor.create(name, request))
      expect(second).toBe(first)
      const renamed = await bench.run((executor) => executor.create(uniqueName("contract"), request))
      expect(renamed).toBe(first)
    })

    test("gives one id when the same task is made twice at the same time", async () => {
      const [name, request] = [uniqueName("contract"), bench.request("exit 0")]
      const ids = await bench.run((executor) =>
        Effect.all([executor.create(name, request), executor.create(name, request)], { concurrency: 2 })
      )
      expect(ids[0]).toBe(ids[1])
    })

    test("refuses a name that another task has", async () => {
      const name = uniqueName("contract")
      await bench.run((executor) => executor.create(name, bench.request("exit 0")))
      const refusal = await bench.refusal((executor) => executor.create(name, bench.request("exit 0")))
      expect(refusal.status).toBe(409)
      expect(refusal.temporary).toBe(false)
      expect(refusal.message).toContain(name)
    })

    test("says why a command cannot be run, and does not call it temporary", async () => {
      const id = await bench.create("", { Cmd: ["no-such-program", "x"] })
      const refusal = await bench.refusal((executor) => executor.start(id))
      expect(refusal.temporary).toBe(false)
      expect(refusal.message).toContain("no-such-program")
      expect(refusal.message).toContain("executable file not found in $PATH")
    })

    test("starts what runs already without touching it", async () => {
      const id = await bench.start(patient)
      const { pid } = await bench.state(id)
      expect(pid).toBeGreaterThan(0)
      await bench.run((executor) => executor.start(id))
      expect((await bench.state(id)).pid).toBe(pid)
      await bench.run((executor) => executor.remove(id))
    })

    test("passes environment, directory, user and labels on", async () => {
      const id = await bench.start('echo "$COLOUR $(pwd) $(id -u)"', {
        Env: ["COLOUR=blue=green"],
        WorkingDir: "/tmp",
        User: "65534:65534",
        Labels: { a: "b" }
      })
      const state = await bench.exited(id)
      expect((await bench.logs(id)).map(textOf)).toEqual(["blue=green /tmp 65534\n"])
      expect(state.labels.a).toBe("b")
    })

    test("runs Entrypoint with Cmd as its arguments", async () => {
      const id = await bench.create("", { Entrypoint: ["echo", "a"], Cmd: ["b c", "d"] })
      await bench.run((executor) => executor.start(id))
      await bench.exited(id)
      expect((await bench.logs(id)).map(textOf)).toEqual(["a b c d\n"])
    })

    test("stops a task with its signal and keeps the exit code", async () => {
      const id = await bench.start(patient)
      await bench.said(id, "up")
      await bench.run((executor) => executor.stop(id, 20_000))
      const state = await bench.state(id)
      expect(state.status).toBe("exited")
      expect(state.exitCode).toBe(3)
    })

    test("stops with the signal that the task asks for", async () => {
      const id = await bench.start('trap "exit 4" USR1; echo up; while :; do sleep 0.05; done', {
        StopSignal: "SIGUSR1"
      })
      await bench.said(id, "up")
      await bench.run((executor) => executor.stop(id, 20_000))
      expect((await bench.exited(id)).exitCode).toBe(4)
    })

    test("knows how long a task is to be given when it is stopped, where that was said", async () => {
      const said = await bench.create("exit", { StopTimeout: 7 })
      expect((await bench.state(said)).graceMs).toBe(7_000)
      expect((await bench.state(await bench.create("exit"))).graceMs).toBeUndefined()
    })

    test("kills what has not stopped after its grace", async () => {
      const id = await bench.start(stubborn)
      await bench.said(id, "up")
      await bench.run((executor) => executor.stop(id, 1))
      expect((await bench.exited(id)).exitCode).toBe(137)
    })

    test("kills, and does nothing to what is over", async () => {
      const id = await bench.start(stubborn)
      await bench.run((executor) => executor.kill(id))
      expect((await bench.exited(id)).exitCode).toBe(137)
      await bench.run((executor) => executor.kill(id))
      await bench.run((executor) => executor.stop(id, 1_000))
      expect((await bench.state(id)).exitCode).toBe(137)
    })

    test("removes a running task, and again, and one that never was", async () => {
      const id = await bench.start(stubborn)
      await bench.run((executor) => executor.remove(id))
      expect(await bench.run((executor) => executor.inspect(id))).toBeUndefined()
      await bench.run((executor) => executor.remove(id))
      await bench.run((executor) => executor.remove("0".repeat(64)))
      await bench.run((executor) => executor.stop("0".repeat(64), 1_000))
      await bench.run((executor) => executor.kill("0".repeat(64)))
    })

    test("does not know a task that never was", async () => {
      const nobody = "0".repeat(64)
      expect(await bench.run((executor) => executor.inspect(nobody))).toBeUndefined()
      expect(await bench.run((executor) => executor.health(nobody))).toBeUndefined()
      const refusal = await bench.refusal((executor) => executor.start(nobody))
      expect(refusal.status).toBe(404)
      expect(refusal.temporary).toBe(false)
      expect(refusal.message).toContain("No such container")
      expect(
        (await bench.refusal((executor) => Stream.runCollect(executor.logs(nobody, allLogs)))).status
      ).toBe(404)
    })

    test("lists tasks with what is known of each", async () => {
      const ended = await bench.start("exit 5")
      const running = await bench.start(patient)
      await bench.exited(ended)
      const list = await bench.run((executor) => executor.list)
      expect(list.find(({ id }) => id === ended)).toMatchObject({ status: "exited", exitCode: 5 })
      expect(list.find(({ id }) => id === running)?.status).toBe("running")
      await bench.run((executor) => executor.remove(running))
    })

    test("announces start, end and removal in that order, of tasks only", async () => {
      const events = await bench.listen((executor) => executor.events)
      await eventually(async () => {
        const probe = await bench.start("exit")
        await bench.run((executor) => executor.remove(probe))
        return events.seen.length > 0
      }, "events come")
      // As above.
      const id = await bench.start(patient, { Labels: { mark: "here" } })
      await bench.said(id, "up")
      await bench.run((executor) => executor.stop(id, 20_000))
      await bench.run((executor) => executor.remove(id))
      const mine = () => events.seen.filter(({ containerId }) => containerId === id)
      await eventually(() => mine().some(({ _tag }) => _tag === "Destroyed"), "the removal is announced")
      expect(mine().map(({ _tag }) => _tag)).toEqual(["Started", "Died", "Destroyed"])
      expect(mine()[1]).toMatchObject({ exitCode: 3, labels: { mark: "here" } } as Partial<ContainerEvent>)
      expect(events.ended()).toBe(false)
      await events.close()
    })

    test("keeps both outputs apart, with times, whole lines and what came without a newline", async () => {
      // Both are read side by side: what is written while nobody reads has no order.
      const id = await bench.start("echo one; sleep 1; echo two >&2; sleep 1; printf three")
      await bench.exited(id)
      const lines = await bench.logs(id)
      expect(lines.map((line) => [line.stream, textOf(line)])).toEqual([
        ["stdout", "one\n"],
        ["stderr", "two\n"],
        ["stdout", "three"]
      ])
      for (const { timestamp, details } of lines) {
        expect(timestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/)
        expect(details).toBe("")
      }
      expect((await bench.logs(id, { stdout: false })).map(textOf)).toEqual(["two\n"])
      expect((await bench.logs(id, { stderr: false })).map(textOf)).toEqual(["one\n", "three"])
    })

    test("gives the last lines of a log, and those since and until a time", async () => {
      const id = await bench.start("for i in 1 2 3 4; do echo $i; sleep 0.2; done")
      await bench.exited(id)
      expect((await bench.logs(id, { tail: 2 })).map(textOf)).toEqual(["3\n", "4\n"])
      const third = Date.parse((await bench.logs(id))[2]?.timestamp ?? "") / 1000
      expect((await bench.logs(id, { since: third - 0.05 })).map(textOf)).toEqual(["3\n", "4\n"])
      expect((await bench.logs(id, { until: third - 0.05 })).map(textOf)).toEqual(["1\n", "2\n"])
    })

    test("follows a log until the task ends", async () => {
      const id = await bench.start('echo first; trap "echo last; exit 0" TERM; while :; do sleep 0.05; done')
      const log = await bench.listen((executor) => executor.logs(id, { ...allLogs, follow: true }))
      await eventually(() => log.seen.length === 1, "the first line comes while the task runs")
      expect(log.ended()).toBe(false)
      await bench.run((executor) => executor.stop(id, 20_000))
      await eventually(() => log.ended(), "the stream ends with the task")
      expect(log.seen.map(textOf)).toEqual(["first\n", "last\n"])
    })

    test("stops following a log when nobody reads it any more", async () => {
      const id = await bench.start(patient)
      const log = await bench.listen((executor) => executor.logs(id, { ...allLogs, follow: true }))
      await eventually(() => log.seen.length === 1, "the first line comes")
      await log.close()
      expect(log.ended()).toBe(true)
      await bench.run((executor) => executor.remove(id))
    })

    test("carries a large log through whole and in order", async () => {
      const id = await bench.start("seq 1 20000")
      await bench.exited(id)
      const lines = await bench.logs(id)
      expect(lines.length).toBe(20_000)
      expect(lines.findIndex((line, index) => textOf(line) !== `${index + 1}\n`)).toBe(-1)
    })

    test("measures a running task, and refuses to measure one that is over", async () => {
      const id = await bench.start("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo done; sleep 100")
      await bench.said(id, "done")
      const sample = await bench.run((executor) => executor.stats(id))
      expect(sample.cpuNanos).toBeGreaterThan(0)
      expect(sample.memoryBytes).toBeGreaterThan(0)
      expect(Math.abs(sample.at - Date.now())).toBeLessThan(60_000)
      await bench.run((executor) => executor.kill(id))
      await bench.exited(id)
      expect((await bench.refusal((executor) => executor.stats(id))).status).toBe(409)
    })

    test("finds its tasks again after a restart of the node, untouched", async () => {
      const before = new Bench(under)
      const running = await before.start(patient)
      const created = await before.create("exit 0")
      const { pid } = await before.state(running)
      await before.leave()

      const after = new Bench(under)
      const list = await after.run((executor) => executor.list)
      expect(list.find(({ id }) => id === running)).toMatchObject({ status: "running", pid })
      expect(list.find(({ id }) => id === created)?.status).toBe("created")
      const events = await after.listen((executor) => executor.events)
      await after.said(running, "up")
      await after.run((executor) => executor.stop(running, 20_000))
      expect((await after.state(running)).exitCode).toBe(3)
      await eventually(
        () => events.seen.some(({ _tag, containerId }) => _tag === "Died" && containerId === running),
        "the end of an adopted task is announced"
      )
      await events.close()
      for (const id of [running, created]) await after.run((executor) => executor.remove(id))
      await after.leave()
    })
  })
}
