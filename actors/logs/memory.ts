/**
 * What this node remembers of its tasks' output. Each container's log is read from the Engine once, while it is
 * written, into a bounded store on disk; readers take it from there, also when the container is gone.
 */
import { Clock, Context, Deferred, Effect, Layer, Option, Schedule, Semaphore, Stream } from "effect"
import {
  Executor,
  ExecutorError,
  type ExecutorService,
  type LogLine,
  type LogOptions
} from "#actors/drivers/executor.ts"
import { serviceLabel, serviceNameLabel, taskLabel, taskNameLabel } from "#actors/drivers/labels.ts"
import { resumeFrom } from "#actors/drivers/log-store/marks.ts"
import { LogStore, type StoreOptions } from "#actors/drivers/log-store/store.ts"
import type { TaskFacts } from "#actors/drivers/log-store/task-facts.ts"
import type { TaskLog } from "#actors/drivers/log-store/task-log.ts"
import type { Remembered } from "#actors/logs/choose.ts"
import { isToken } from "#runtime/address.ts"
import { wordsOf } from "#runtime/words-of.ts"

/** A task's container, as the Engine lists it or tells of it. */
export interface TaskContainer {
  readonly id: string
  readonly labels: Readonly<Record<string, string>>
}

/** What came of reading a container's log. */
export type Outcome =
  /** It was read to its end. */
  | { readonly _tag: "Ended" }
  /** The container is gone, or what it writes is not kept: there is nothing more to read. */
  | { readonly _tag: "Unreadable"; readonly reason: string }
  /** It broke off, and is worth another try. */
  | { readonly _tag: "BrokeOff"; readonly reason: string }

export interface LogMemoryService {
  /** Reads a container's log from where it was left; goes on until the container ends when it `runs`. Never fails. */
  readonly follow: (container: TaskContainer, runs: boolean) => Effect.Effect<Outcome>
  /** Comes back when all that a container wrote is here, as far as that can be had soon. Before it is removed. */
  readonly settle: (container: TaskContainer) => Effect.Effect<void>
  /** What is known of a task; `undefined` for nothing. */
  readonly about: (task: string) => (Remembered & { readonly log: TaskLog }) | undefined
  /** Waits, a little, until what the container has written by now is here. Whether it is. */
  readonly catchUp: (task: string, container: string) => Effect.Effect<boolean, ExecutorError>
  /** Every task of which something is kept. */
  readonly tasks: Effect.Effect<ReadonlyArray<TaskFacts>>
}

/** Logs of containers that have ended are read this many at a time: nobody waits for them. */
const pastAtOnce = 2
/** How often what waits for company is written, and what is too much goes. */
const tidyEvery = "10 seconds"
const settleWithin = "5 seconds"
const catchUpWithin = "3 seconds"

const everything: LogOptions = {
  stdout: true,
  stderr: true,
  follow: false,
  since: 0,
  until: 0,
  tail: "all",
  details: true
}

export class LogMemory extends Context.Service<LogMemory, LogMemoryService>()(
  "troupe/actors/logs/LogMemory"
) {
  /** Remembers in a folder. */
  static readonly layer = (options: StoreOptions) =>
    Layer.effect(
      LogMemory,
      Effect.gen(function* () {
        const executor = yield* Executor
        const store = new LogStore(options)
        yield* Effect.addFinalizer(() => Effect.map(Clock.currentTimeMillis, (now) => store.flush(now)))
        const following = new Map<string, Deferred.Deferred<void>>()
        const tidy = Effect.map(Clock.currentTimeMillis, (now) =>
          store.tidy(now, (task) => following.has(task))
        )
        yield* tidy.pipe(
          // A disk that cannot be read now may be read later.
          Effect.catchDefect((defect) => Effect.logWarning("Cannot tidy the log memory", defect)),
          Effect.repeat(Schedule.spaced(tidyEvery)),
          Effect.forkScoped
        )
        return remember(executor, store, following)
      })
    )

  /** Remembers nothing. */
  static readonly remembersNothing: LogMemoryService = {
    follow: () => Effect.succeed({ _tag: "Unreadable", reason: "this node keeps no logs" }),
    settle: () => Effect.void,
    about: () => undefined,
    catchUp: () => Effect.succeed(false),
    tasks: Effect.succeed([])
  }

  static readonly none = Layer.succeed(LogMemory, LogMemory.remembersNothing)
}

/** `following`, by task: who is told when the reading that goes on ends. */
function remember(
  executor: ExecutorService,
  store: LogStore,
  following: Map<string, Deferred.Deferred<void>>
): LogMemoryService {
  const ended = new Set<string>()
  const past = Semaphore.makeUnsafe(pastAtOnce)

  const read = Effect.fnUntraced(function* (facts: TaskFacts, id: string, follow: boolean) {
    const log = yield* Effect.try({ try: () => store.open(facts), catch: (error) => notKept(facts, error) })
    log.resume()
    const options = { ...everything, follow, since: resumeFrom(log.marks) }
    const finish = Effect.map(Clock.currentTimeMillis, (now) => log.finish(now))
    yield* executor.logs(id, options).pipe(
      Stream.runForEachArray((lines) => Effect.map(Clock.currentTimeMillis, (now) => log.take(lines, now))),
      Effect.ensuring(finish)
    )
  })

  const follow: LogMemoryService["follow"] = (container, runs) => {
    const facts = factsOf(container)
    if (facts === undefined) return Effect.succeed({ _tag: "Unreadable", reason: "it is no task's" })
    const { task } = facts
    const going = following.get(task)
    if (going !== undefined) return Effect.as(Deferred.await(going), { _tag: "Ended" as const })
    return Effect.gen(function* () {
      const done = yield* Deferred.make<void>()
      following.set(task, done)
      ended.delete(task)
      yield* read(facts, container.id, runs).pipe(
        Effect.onExit((exit) =>
          Effect.suspend(() => {
            following.delete(task)
            if (exit._tag === "Success") ended.add(task)
            // Readers that follow learn that no more comes.
            store.find(task)?.wake()
            return Deferred.succeed(done, undefined)
          })
        )
      )
      return { _tag: "Ended" } satisfies Outcome
    }).pipe(
      Effect.catch((error) => Effect.succeed(outcomeOf(error))),
      runs ? (effect) => effect : past.withPermits(1)
    )
  }

  const about: LogMemoryService["about"] = (task) => {
    const log = store.find(task)
    if (log === undefined) return undefined
    const state = following.has(task) ? "following" : ended.has(task) ? "ended" : "idle"
    return { log, state }
  }

  return {
    follow,
    about,
    settle: (container) =>
      Effect.suspend(() => {
        const task = container.labels[taskLabel] ?? ""
        const going = following.get(task)
        if (going !== undefined) return Deferred.await(going)
        return ended.has(task) ? Effect.void : Effect.asVoid(follow(container, false))
      }).pipe(Effect.timeoutOption(settleWithin), Effect.asVoid),
    catchUp: Effect.fnUntraced(function* (task, container) {
      const newest = yield* lastLine(executor, container)
      const log = store.find(task)
      if (newest === undefined || log === undefined) return newest === undefined
      return yield* reach(log, newest).pipe(Effect.timeoutOption(catchUpWithin), Effect.map(Option.isSome))
    }),
    tasks: Effect.sync(() => store.tasks)
  }
}

const lastLine = (executor: ExecutorService, container: string) =>
  executor
    .logs(container, { ...everything, tail: 1, details: false })
    .pipe(Stream.runLast, Effect.map(Option.getOrUndefined))

const reach = (log: TaskLog, line: LogLine): Effect.Effect<void> =>
  Effect.whileLoop({
    while: () => !log.hasReached(line),
    body: () => more(log),
    step: () => {}
  })

/** Comes back when there may be more to read. */
export const more = (log: TaskLog): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const forget = log.whenMore(() => resume(Effect.void))
    return Effect.sync(forget)
  })

/** The disk may take it later. */
const notKept = ({ name }: TaskFacts, error: unknown): ExecutorError =>
  new ExecutorError({
    operation: "logs",
    temporary: true,
    message: `Cannot keep the output of ${name}: ${wordsOf(error)}`
  })

const outcomeOf = (error: ExecutorError): Outcome => ({
  _tag: error.temporary ? "BrokeOff" : "Unreadable",
  reason: error.message
})

/** Whose output a container's is; `undefined` when it is no task's. */
function factsOf({ labels }: TaskContainer): TaskFacts | undefined {
  const task = labels[taskLabel] ?? ""
  if (!isToken(task)) return undefined
  return {
    task,
    name: labels[taskNameLabel] ?? task,
    service: labels[serviceLabel] ?? "",
    serviceName: labels[serviceNameLabel] ?? ""
  }
}
