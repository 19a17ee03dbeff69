/**
 * Sends what this node's tasks write to the node that has its copy, one block at a time: the memory on disk is the queue.
 * A holder that is slow makes it wait; what the memory lets go of meanwhile is missing in the copy, and a line says so.
 */
import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import type { TaskFacts } from "#actors/drivers/log-store/task-facts.ts"
import { Outgoing } from "#actors/logs/copies/outgoing.ts"
import { type CopyAnswer, copySubject, decodeAnswer, encodeToCopy } from "#actors/logs/copies/protocol.ts"
import type { LogMemoryService } from "#actors/logs/memory.ts"
import type { TransportService } from "#runtime/transport.ts"

export interface SendOptions {
  readonly cluster: string
  readonly nodeId: string
  readonly transport: Pick<TransportService, "request">
  readonly memory: Pick<LogMemoryService, "about" | "tasks">
  /** The node that has the copy now; `undefined` for none. */
  readonly holder: () => string | undefined
}

const withinMs = 5_000
const restMs = 1_000
/** After as many failures in a row as there may be, so long. */
const longestRestMs = 30_000
/** Logs of earlier tasks are opened so many at a time. */
const begunAtOnce = 8

/** Never ends, and never fails: who has the copy may come and go. */
export const sendCopies = Effect.fn("logs.sendCopies")(function* (options: SendOptions) {
  let sending: Sending | undefined
  let failures = 0
  while (true) {
    const holder = options.holder()
    if (holder !== sending?.holder) sending = holder === undefined ? undefined : begin(holder)
    const came = sending === undefined ? "nothing" : yield* round(options, sending)
    failures = came === "failed" ? failures + 1 : 0
    if (came !== "more") yield* Effect.sleep(Math.min(restMs * 2 ** Math.min(failures, 6), longestRestMs))
  }
})

interface Sending {
  readonly holder: string
  readonly epoch: string
  readonly tasks: Map<string, Outgoing | "refused">
}

const begin = (holder: string): Sending => ({ holder, epoch: randomUUID(), tasks: new Map() })

/** One block of each task that has one. */
const round = Effect.fnUntraced(function* (options: SendOptions, sending: Sending) {
  const tasks = yield* options.memory.tasks
  const here = new Set(tasks.map(({ task }) => task))
  for (const task of sending.tasks.keys()) if (!here.has(task)) sending.tasks.delete(task)
  let begun = 0
  let came: "nothing" | "more" = "nothing"
  for (const facts of tasks) {
    const known = sending.tasks.get(facts.task)
    if (known === "refused" || (known === undefined && begun++ >= begunAtOnce)) continue
    const sent =
      known === undefined
        ? yield* introduce(options, sending, facts)
        : yield* send(options, sending, facts, known)
    if (sent === "failed") return "failed"
    if (sent === "sent") came = "more"
  }
  return came
})

const introduce = Effect.fnUntraced(function* (
  options: SendOptions,
  { holder, epoch, tasks }: Sending,
  facts: TaskFacts
) {
  const log = options.memory.about(facts.task)?.log
  if (log === undefined) return "nothing"
  const answer = yield* ask(options, holder, encodeToCopy({ _tag: "Begin", epoch, facts }))
  if (answer === undefined) return "failed"
  tasks.set(facts.task, answer._tag === "Begun" ? new Outgoing(log, answer.marks) : "refused")
  return "sent"
})

const send = Effect.fnUntraced(function* (
  options: SendOptions,
  { holder, epoch, tasks }: Sending,
  { task }: TaskFacts,
  outgoing: Outgoing
) {
  const parcel = outgoing.next()
  if (parcel === undefined) return "nothing"
  const { seq, block } = parcel
  const answer = yield* ask(options, holder, encodeToCopy({ _tag: "Lines", epoch, task, seq }, block))
  if (answer === undefined) return "failed"
  if (answer._tag === "Stored") outgoing.arrived()
  else if (answer._tag === "Refused") tasks.set(task, "refused")
  // The holder has begun another life.
  else tasks.delete(task)
  return "sent"
})

const ask = (
  { transport, cluster, nodeId }: SendOptions,
  holder: string,
  body: Uint8Array
): Effect.Effect<CopyAnswer | undefined> =>
  transport.request(copySubject(cluster, holder, nodeId), {}, body, withinMs).pipe(
    Effect.flatMap((delivery) => decodeAnswer(new TextDecoder().decode(delivery.body))),
    Effect.catch(() => Effect.succeed(undefined))
  )
