/**
 * The `sys` lane: what a process answers about its own actors, and how to ask it, from a CLI or another node.
 *
 * Requests go to `<node id>/system/main` and speak to the runtime, never to an actor.
 */
import { Effect, Schema } from "effect"
import { type Address, address, showAddress, subjectOf } from "#runtime/address.ts"
import type { Absence } from "#runtime/errors.ts"
import { NotUnderstood } from "#runtime/errors.ts"
import type { TreeQuery } from "#runtime/select-tree.ts"
import type { ChildRef, Order, OrderOutcome, TreeNode } from "#runtime/system.ts"
import type { TraceRecord } from "#runtime/trace.ts"
import type { TransportService } from "#runtime/transport.ts"
import { decodeReply, decoderOf, encodeBody } from "#runtime/wire.ts"

const AddressSchema = Schema.Struct({ home: Schema.String, kind: Schema.String, id: Schema.String })
const texts = Schema.Array(Schema.String)
const count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** What can be said on a `sys` lane. `Watch`, `Unwatch` go to the watched actor's subject, the rest to its
 * home's system. */
export const SysMessage = Schema.Union([
  /** Answered by `Trees`; `NotHere` when nothing is at `under`. The fields are those of `TreeQuery`. */
  Schema.Struct({
    _tag: Schema.Literal("Tree"),
    under: Schema.optionalKey(texts),
    depth: Schema.optionalKey(count),
    from: Schema.optionalKey(count)
  }),
  /** Answered by `Details`; `NotHere` when the actor is not in that process. */
  Schema.Struct({ _tag: Schema.Literal("Inspect"), address: AddressSchema }),
  /** Answered by `{ done }`: false when the actor is not in that process. */
  Schema.Struct({ _tag: Schema.Literal("Restart"), address: AddressSchema }),
  /** Answered by `{ outcome }`, an `OrderOutcome`, for a stop once the child is down. */
  Schema.Struct({
    _tag: Schema.Literal("Order"),
    child: Schema.Union([AddressSchema, texts]),
    order: Schema.Literals(["stop", "start", "restart", "delete"])
  }),
  /** Answered by `DeadLetterReport`. */
  Schema.Struct({ _tag: Schema.Literal("DeadLetters") }),
  /** Answered by `{ text }`, in the OpenMetrics format. */
  Schema.Struct({ _tag: Schema.Literal("Metrics") }),
  /** Answered by `Traced`: the messages with an id of `exact`, and those that a message of `ledBy` led to. */
  Schema.Struct({ _tag: Schema.Literal("Trace"), exact: texts, ledBy: texts }),
  /** Writes the flight recording to a file of that machine. Answered by `Dumped`; `NotHere` where none is kept. */
  Schema.Struct({ _tag: Schema.Literal("DumpRecording") }),
  /** Answered by `{ watching: true, tenure }`, and later told `Gone` once. Kept up by `Watching`, or it is forgotten. */
  Schema.Struct({ _tag: Schema.Literal("Watch"), watcher: Schema.String, key: Schema.String }),
  /**
   * What a watcher watches at the home it is sent to; `all` when nothing is left out, so that what is not named is
   * watched no more. Answered by `Watched`.
   */
  Schema.Struct({
    _tag: Schema.Literal("Watching"),
    watcher: Schema.String,
    all: Schema.Boolean,
    watches: Schema.Array(
      Schema.Struct({
        key: Schema.String,
        kind: Schema.String,
        id: Schema.String,
        /** The tenure of the address that is watched, once its owner has said which. */
        tenure: Schema.optional(Schema.String)
      })
    )
  }),
  Schema.Struct({ _tag: Schema.Literal("Unwatch"), watcher: Schema.String, key: Schema.String }),
  Schema.Struct({ _tag: Schema.Literal("Gone"), key: Schema.String, reason: Schema.String })
])
export type SysMessage = typeof SysMessage.Type

export const decodeSys = decoderOf(SysMessage)

/** What a process answers to `Tree`. `omitted` counts the actors left out because one message cannot carry all. */
export interface Trees {
  readonly nodeId: string
  readonly trees: ReadonlyArray<TreeNode>
  readonly omitted: number
}

/** One actor from close by. Nothing here shows what is in a message or a state. */
export interface Details {
  readonly nodeId: string
  readonly address: Address
  readonly state: TreeNode["state"] | "idle"
  readonly life: number
  readonly handled: number
  readonly depth: number
  readonly capacity: number
  readonly performing: number
  /** Their keys. */
  readonly timers: ReadonlyArray<string>
  readonly summary?: string
  readonly lastError?: string
  readonly lastMessage?: string
  readonly decideMicros: {
    readonly mean: number
    readonly p50: number
    readonly p99: number
    readonly max: number
  }
  /** The oldest that wait, oldest first. */
  readonly waiting: ReadonlyArray<{
    readonly tag: string
    readonly ageMs: number
    readonly from?: string
    readonly id?: string
  }>
  /** Its newest traced messages, oldest first; none where nothing is traced. */
  readonly messages: ReadonlyArray<TraceRecord>
  /** Lines of the flight recorder, oldest first; none where nothing is recorded. */
  readonly recorded: ReadonlyArray<string>
}

/** As `DeadLetterReport`; a node of an older version does not count by tag and kind. */
export interface DeadLettersAnswer {
  readonly count: number
  readonly samples: ReadonlyArray<string>
  readonly byReason: Readonly<Record<string, number>>
  readonly byTag?: Readonly<Record<string, number>>
  readonly byKind?: Readonly<Record<string, number>>
}

/** `more` when the answer was cut to what a message carries. */
export interface Traced {
  readonly nodeId: string
  readonly records: ReadonlyArray<TraceRecord>
  readonly more: boolean
}

export interface Dumped {
  readonly path: string
  readonly bytes: number
  readonly records: number
}

export const systemAddress = (nodeId: string): Address => address(nodeId, "system", "main")

/** Asks the process of a node; for whoever has a transport but runs no actors. */
export interface Inspector {
  /** One answer, which may have left something out. */
  readonly tree: (nodeId: string, query?: TreeQuery) => Effect.Effect<Trees, Absence>
  /** All that a query is about, however large: what did not fit is asked for until it is here. */
  readonly wholeTree: (nodeId: string, query?: TreeQuery) => Effect.Effect<ReadonlyArray<TreeNode>, Absence>
  readonly details: (nodeId: string, target: Address) => Effect.Effect<Details, Absence>
  /** Restarts one actor there. False when it is not there. */
  readonly restart: (nodeId: string, target: Address) => Effect.Effect<boolean, Absence>
  /** Stops, starts, restarts or forgets one child there, and waits until that is done. */
  readonly order: (nodeId: string, child: ChildRef, order: Order) => Effect.Effect<OrderOutcome, Absence>
  readonly deadLetters: (nodeId: string) => Effect.Effect<DeadLettersAnswer, Absence>
  readonly metrics: (nodeId: string) => Effect.Effect<string, Absence>
  readonly trace: (
    nodeId: string,
    exact: ReadonlyArray<string>,
    ledBy: ReadonlyArray<string>
  ) => Effect.Effect<Traced, Absence>
  readonly dumpRecording: (nodeId: string) => Effect.Effect<Dumped, Absence>
}

/** A supervisor's children are stopped one after the other, each with its own patience. */
const stopMs = 60_000

export function inspector(transport: TransportService, cluster: string, usualMs = 2_000): Inspector {
  const ask = Effect.fnUntraced(function* <Answer>(
    nodeId: string,
    message: SysMessage,
    withinMs: number = usualMs
  ) {
    const to = systemAddress(nodeId)
    const body = encodeBody(message)
    const reply = yield* transport.request(subjectOf(cluster, to, "sys"), {}, body, withinMs)
    const outcome = decodeReply(reply, showAddress(to), withinMs)
    if (outcome._tag === "Answer") return outcome.value as Answer
    return yield* Effect.fail(outcome)
  })
  const tree: Inspector["tree"] = (nodeId, { under, depth, from } = {}) =>
    ask<Trees>(nodeId, {
      _tag: "Tree",
      ...(under && { under }),
      ...(depth !== undefined && { depth }),
      ...(from !== undefined && { from })
    })

  /** The node with those of its children, and of theirs, that had not fit. `path` leads to it, itself included. */
  const complete = (
    nodeId: string,
    node: TreeNode,
    path: ReadonlyArray<string>,
    depth: number | undefined
  ): Effect.Effect<TreeNode, Absence> =>
    Effect.gen(function* () {
      const children: TreeNode[] = [...node.children]
      let hidden = node.hidden ?? 0
      while (hidden > 0) {
        const rest = { under: path, from: children.length, ...(depth !== undefined && { depth }) }
        const [next] = (yield* tree(nodeId, rest)).trees
        children.push(...(next?.children ?? []))
        // It may have shrunk meanwhile; an answer without children must not be waited for again.
        hidden = next && next.children.length > 0 ? (next.hidden ?? 0) : 0
      }
      const below = depth === undefined ? undefined : depth - 1
      const whole: TreeNode[] = []
      for (const child of children) {
        // Most children have none of their own: they are not worth a step each.
        whole.push(
          child.children.length > 0 || child.hidden
            ? yield* complete(nodeId, child, [...path, child.name], below)
            : child
        )
      }
      const { hidden: _, ...rest } = node
      return { ...rest, children: whole }
    })

  return {
    tree,
    wholeTree: Effect.fnUntraced(function* (nodeId: string, query: TreeQuery = {}) {
      const { trees } = yield* tree(nodeId, query)
      const whole: TreeNode[] = []
      for (const top of trees) {
        const path = query.under ?? [top.name]
        whole.push(yield* complete(nodeId, top, path, query.depth))
      }
      return whole
    }),
    details: (nodeId, target) => ask<Details>(nodeId, { _tag: "Inspect", address: target }),
    restart: (nodeId, target) =>
      ask<{ done?: boolean }>(nodeId, { _tag: "Restart", address: target }).pipe(
        Effect.flatMap((answer) =>
          typeof answer?.done === "boolean"
            ? Effect.succeed(answer.done)
            : Effect.fail(
                new NotUnderstood({
                  address: showAddress(systemAddress(nodeId)),
                  message: `Node ${nodeId} did not say whether it restarted ${showAddress(target)}`
                })
              )
        )
      ),
    order: (nodeId, child, order) =>
      ask<{ outcome: OrderOutcome }>(nodeId, { _tag: "Order", child, order }, stopMs).pipe(
        Effect.map(({ outcome }) => outcome)
      ),
    deadLetters: (nodeId) => ask<DeadLettersAnswer>(nodeId, { _tag: "DeadLetters" }),
    metrics: (nodeId) => Effect.map(ask<{ text: string }>(nodeId, { _tag: "Metrics" }), ({ text }) => text),
    trace: (nodeId, exact, ledBy) => ask<Traced>(nodeId, { _tag: "Trace", exact, ledBy }),
    dumpRecording: (nodeId) => ask<Dumped>(nodeId, { _tag: "DumpRecording" })
  }
}
