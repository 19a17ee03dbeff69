/**
 * The logs of many tasks on many nodes as one stream: of those that are there and, when it is followed, of those
 * that come later.
 *
 * Each task is read on its own, by pulling from its node. A node that restarts is asked again from the last line
 * that came; one that is gone is named at the end, as Swarm does, instead of silently leaving a hole.
 */
import { Buffer } from "node:buffer"
import { randomUUID } from "node:crypto"
import { type Cause, Effect, Queue, Schema, type Scope, Stream } from "effect"
import { type Marks, Progress, resumeFrom } from "#actors/drivers/log-store/marks.ts"
import { findCopy } from "#actors/gateway/find-copy.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import { answerWithinMs } from "#actors/logs/decide.ts"
import { type LogRequest, LogsAnswer } from "#actors/logs/protocol.ts"
import type { Task } from "#actors/model/objects.ts"
import { isBefore, isTerminal, isWanted } from "#actors/model/task-state.ts"
import { address } from "#runtime/address.ts"
import type { Absence } from "#runtime/errors.ts"
import type { SystemService } from "#runtime/system.ts"

/** One line, and whose it is. */
export interface CollectedLine {
  readonly task: Task
  readonly stream: "stdout" | "stderr"
  readonly timestamp: string
  readonly details: string
  readonly data: Buffer
}

export type Collected =
  | { readonly _tag: "Lines"; readonly lines: ReadonlyArray<CollectedLine> }
  /** What could not be read, in Swarm's words; the last thing to come. */
  | { readonly _tag: "Incomplete"; readonly reasons: ReadonlyArray<string> }

export interface CollectOptions {
  readonly ledger: LedgerService
  readonly system: Pick<SystemService, "ask" | "tell">
  /** The service whose tasks are read, or the one task. */
  readonly of:
    | { readonly kind: "service"; readonly id: string }
    | { readonly kind: "task"; readonly id: string }
  readonly request: LogRequest
  /** Tasks that the ledger does not have any more, found while the others are read. */
  readonly earlier?: Effect.Effect<ReadonlyArray<Task>>
  /** Told of each task before its first line is read. */
  readonly onTask?: (task: Task) => void
}

// The node answers within its own `answerWithinMs` even when there is nothing to say.
const pullPatienceMs = answerWithinMs + 5_000
const openPatienceMs = 5_000
/** How long a node may be silent before a reader that does not follow gives it up. */
const attempts = 10
const betweenAttempts = "300 millis"

const decodeAnswer = Schema.decodeUnknownEffect(LogsAnswer)

/** Lines as they come; ends by itself unless it follows, and even then when the one task is over. */
export const collectLogs = (options: CollectOptions): Stream.Stream<Collected> =>
  Stream.callback<Collected>((queue) => collect(options, queue), { bufferSize: 8, strategy: "suspend" })

const collect = (
  options: CollectOptions,
  queue: Queue.Queue<Collected, Cause.Done>
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { ledger, request, of } = options
    const started = new Set<string>()
    const reasons = new Set<string>()
    let running = 0
    const scope = yield* Effect.scope

    const finish = Effect.suspend(() => {
      if (running > 0 || (request.follow && goesOn(ledger.read, of))) return Effect.void
      return reasons.size === 0
        ? Queue.end(queue)
        : Effect.andThen(Queue.offer(queue, { _tag: "Incomplete", reasons: [...reasons] }), Queue.end(queue))
    })

    const start = (task: Task): Effect.Effect<unknown> => {
      if (started.has(task.ID) || !hasLog(task)) return Effect.void
      started.add(task.ID)
      running += 1
      options.onTask?.(task)
      return readTask(options, task, queue).pipe(
        Effect.tap((reason) =>
          Effect.sync(() => {
            if (reason !== undefined) reasons.add(reason)
            running -= 1
          })
        ),
        Effect.andThen(finish),
        Effect.forkIn(scope)
      )
    }

    // Tasks that come while the first ones are started are seen by both, and started once.
    const arrivals = yield* Queue.unbounded<Task | "recheck">()
    const followed = ledger.follow(({ changes }) => {
      for (const change of changes) {
        if (change.kind === "task") {
          const task = change.after ?? change.before
          if (task === undefined || !belongs(of, task)) continue
          if (change.after !== undefined && hasLog(change.after)) Queue.offerUnsafe(arrivals, change.after)
          else Queue.offerUnsafe(arrivals, "recheck")
        } else if (change.kind === "service" && change.after === undefined && change.before?.ID === of.id) {
          Queue.offerUnsafe(arrivals, "recheck")
        }
      }
    })
    yield* Effect.addFinalizer(() => Effect.sync(followed.unsubscribe))

    running += 1
    for (const task of tasksOf(ledger.read, of)) {
      if (!request.follow && task.NodeID === undefined && isWanted(task)) {
        reasons.add(`task ${task.ID} has not been scheduled`)
      }
      yield* start(task)
    }
    for (const task of yield* options.earlier ?? Effect.succeed([])) yield* start(task)
    running -= 1
    yield* finish
    if (!request.follow) return
    while (true) {
      const next = yield* Queue.take(arrivals)
      if (next === "recheck") yield* finish
      else yield* start(next)
    }
  })

const belongs = (of: CollectOptions["of"], task: Task): boolean =>
  of.kind === "service" ? task.ServiceID === of.id : task.ID === of.id

function* tasksOf(reader: LedgerReader, of: CollectOptions["of"]): Iterable<Task> {
  if (of.kind === "service") {
    yield* reader.tasksOfService(of.id)
    return
  }
  const task = reader.get("task", of.id)
  if (task !== undefined) yield task
}

/** Followers wait for more while more can come. */
function goesOn(reader: LedgerReader, of: CollectOptions["of"]): boolean {
  if (of.kind === "service") return reader.get("service", of.id) !== undefined
  const task = reader.get("task", of.id)
  return task !== undefined && !isTerminal(task.Status.State)
}

/** A container was made for the task, so far as its node said; before that there is nothing to read. */
const hasLog = (task: Task): boolean =>
  task.NodeID !== undefined &&
  (task.Status.ContainerStatus !== undefined ||
    (!isBefore(task.Status.State, "starting") && isBefore(task.Status.State, "failed")))

/** Reads one task's log into the queue. Comes back with why it is incomplete, if it is. */
const readTask = Effect.fnUntraced(function* (
  options: CollectOptions,
  task: Task,
  queue: Queue.Queue<Collected, Cause.Done>
): Effect.fn.Return<string | undefined> {
  const node = task.NodeID as string
  const place: Place = { node, known: new Progress({}) }
  const own = yield* readAt(options, task, place, queue)
  if (own !== "absent") return own
  const gone = `node ${node} is not available`
  const copy = yield* findCopy(options, node, task.ID)
  if (copy === undefined) return gone
  const named = (id: string): string => options.ledger.read.get("node", id)?.Description?.Hostname ?? id
  const text = `troupe: node ${named(node)} is not available: what follows is its copy on node ${named(copy.holder)}, up to ${copy.newest}\n`
  const note = {
    task,
    stream: "stderr",
    timestamp: copy.newest,
    details: "",
    data: Buffer.from(text)
  } as const
  yield* Queue.offer(queue, { _tag: "Lines", lines: [note] })
  const copied = yield* readAt(options, task, { ...place, node: copy.holder, copyOf: node }, queue)
  return copied === "absent" ? gone : copied
})

/** Where a task's lines are read, and which of them came. */
interface Place {
  readonly node: string
  /** What is read there is the copy of what ran on this node. */
  readonly copyOf?: string
  known: Progress
}

/** To the end of what that node has: `absent` when it does not answer, else why lines are missing, if some are. */
const readAt = (
  options: CollectOptions,
  task: Task,
  place: Place,
  queue: Queue.Queue<Collected, Cause.Done>
): Effect.Effect<"absent" | string | undefined> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { system, ledger } = options
      const { node: nodeId, copyOf } = place
      const logs = address(nodeId, "logs", "main")
      const ask = (
        message: unknown,
        withinMs: number
      ): Effect.Effect<LogsAnswer, Absence | Schema.SchemaError> =>
        Effect.flatMap(system.ask<unknown>(logs, message, withinMs), decodeAnswer)
      let subscription = ""
      /** Also after the end: the node remembers its last batch until it knows that it arrived. */
      const close = Effect.sync(() => {
        if (subscription !== "") system.tell(logs, { _tag: "Close", subscription })
        subscription = ""
      })
      yield* Effect.addFinalizer(() => close)
      let failures = 0
      const mayComeBack = (): boolean => isExpected(ledger.read, task, nodeId, copyOf)

      while (true) {
        // Opens, anew after a break from where it stood.
        const name = randomUUID()
        // What comes twice is known by its stream, its time and how many came with that time.
        place.known = new Progress(place.known.marks)
        const container = task.Status.ContainerStatus?.ContainerID
        const opened = yield* ask(
          {
            _tag: "Open",
            subscription: name,
            task: task.ID,
            ...(container === undefined || container === "" ? {} : { container }),
            ...(copyOf !== undefined && { copyOf }),
            request: resumed(options.request, place.known.marks)
          },
          openPatienceMs
        ).pipe(Effect.catch(() => Effect.succeed({ _tag: "Absent" as const })))
        if (opened._tag === "TooMany") {
          return `node ${nodeId} already serves ${opened.limit} readers of logs`
        }
        if (opened._tag !== "Opened") {
          failures += 1
          const follows = options.request.follow && copyOf === undefined
          if (!mayComeBack() || (!follows && failures >= attempts)) return "absent"
          yield* Effect.sleep(betweenAttempts)
          continue
        }
        subscription = name
        failures = 0

        let after = 0
        let silent = 0
        while (true) {
          const answer = yield* ask({ _tag: "Pull", subscription, after }, pullPatienceMs).pipe(
            Effect.catch((absence) => Effect.succeed({ _tag: "Absent" as const, why: absence._tag }))
          )
          if (answer._tag === "Absent" && answer.why === "TimedOut" && silent < 1) {
            // The question or its answer was lost: asking for the same again changes nothing.
            silent += 1
            continue
          }
          if (answer._tag !== "Batch") break
          silent = 0
          if (answer.seq > after) {
            after = answer.seq
            const fresh = answer.lines.filter((line) => place.known.isNew(line))
            const lines = fresh.map((line) => ({
              task,
              stream: line.stream,
              timestamp: line.timestamp,
              details: line.details,
              data: Buffer.from(line.data, "base64")
            }))
            if (lines.length > 0) yield* Queue.offer(queue, { _tag: "Lines", lines })
          }
          if (answer.ended) {
            if (answer.problem === undefined) return undefined
            // The Engine broke off. Whoever follows tries again while the task is there.
            if (!options.request.follow || !mayComeBack()) return `task ${task.ID}: ${answer.problem}`
            break
          }
        }
        yield* close
        failures += 1
        if (!mayComeBack()) return "absent"
        yield* Effect.sleep(betweenAttempts)
      }
    })
  )

/** After a break: from somewhat before the last lines that came. */
function resumed(request: LogRequest, marks: Marks): LogRequest {
  const since = resumeFrom(marks)
  if (since === 0) return request
  const { tail: _tail, ...rest } = request
  return { ...rest, since: Math.max(request.since, since) }
}

/** A node that is down is not waited for; a copy outlives the task. */
function isExpected(reader: LedgerReader, task: Task, nodeId: string, copyOf: string | undefined): boolean {
  const node = reader.get("node", nodeId)
  const isThere = node !== undefined && node.Status.State !== "down"
  return isThere && (copyOf !== undefined || reader.get("task", task.ID) !== undefined)
}
