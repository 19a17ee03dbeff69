/** Answers what comes on the `sys` lane: questions about this process's actors, and orders to its supervisors. */
import { type Address, parseSubject, showAddress } from "#runtime/address.ts"
import type { Cell } from "#runtime/cell.ts"
import { tagOf } from "#runtime/dead-letters.ts"
import { NotHere, NotUnderstood } from "#runtime/errors.ts"
import { type Details, type Dumped, decodeSys, type SysMessage, type Traced } from "#runtime/inspect.ts"
import type { Post } from "#runtime/post.ts"
import type { FlightRecorder } from "#runtime/recorder.ts"
import type { Registry } from "#runtime/registry.ts"
import { fitTrees, selectTrees } from "#runtime/select-tree.ts"
import type { ChildRef, Order, OrderOutcome, TreeNode } from "#runtime/system.ts"
import type { TraceRing } from "#runtime/trace.ts"
import type { Delivery, TransportService } from "#runtime/transport.ts"
import type { Watches } from "#runtime/watches.ts"
import { decodeBody, encodeBody } from "#runtime/wire.ts"
import { wordsOf } from "#runtime/words-of.ts"

export interface SysLaneOptions {
  readonly nodeId: string
  readonly post: Post
  readonly registry: Registry
  readonly transport: TransportService
  readonly watches: Watches
  readonly trees: () => ReadonlyArray<TreeNode>
  readonly order: (child: ChildRef, order: Order, done: (outcome: OrderOutcome) => void) => void
  readonly metrics: () => string
  readonly now: () => number
  readonly trace: TraceRing | undefined
  readonly recorder: FlightRecorder | undefined
  /** Writes the recording to a file; absent where there is no place for it. */
  readonly dump: (() => Dumped) | undefined
}

/** Headers share the message with the body. */
const headerBytes = 4_096
/** What one question about causes can bring up; the asker goes on from there. */
const mostTraced = 2_000
const shown = 20

/** What the `sys` lane's subscription calls. */
export function sysLane(options: SysLaneOptions): (delivery: Delivery) => void {
  const { nodeId, post, registry, watches } = options
  const maxBytes = (): number => options.transport.maxPayload() - headerBytes

  const refuse = (delivery: Delivery, name: string, words: string): void =>
    post.refuse(delivery, new NotHere({ address: name, message: words }))

  const answer = (delivery: Delivery, to: Address, message: SysMessage): void => {
    switch (message._tag) {
      case "Tree": {
        const selected = selectTrees(options.trees(), message)
        if (selected) post.respond(delivery, { nodeId, ...fitTrees(selected, maxBytes()) })
        else
          refuse(
            delivery,
            (message.under ?? []).join(", "),
            `Nothing called ${message.under?.at(-1)} runs on ${nodeId}`
          )
        return
      }
      case "Inspect": {
        const cell = registry.find(message.address)
        if (cell) post.respond(delivery, detailsOf(options, cell))
        else {
          const name = showAddress(message.address)
          refuse(delivery, name, `No actor ${name} runs on ${nodeId}`)
        }
        return
      }
      case "Restart":
        options.order(message.address, "restart", (outcome) =>
          post.respond(delivery, { done: outcome === "done" })
        )
        return
      case "Order":
        options.order(message.child, message.order, (outcome) => post.respond(delivery, { outcome }))
        return
      case "DeadLetters":
        post.respond(delivery, post.deadLetters.report())
        return
      case "Metrics":
        post.respond(delivery, { text: options.metrics() })
        return
      case "Trace":
        post.respond(delivery, traced(options, message, maxBytes()))
        return
      case "DumpRecording":
        dump(delivery)
        return
      case "Watch": {
        const words = `Cannot watch ${showAddress(to)}: nobody is there`
        const tenure = watches.onWatch(to, message.watcher, message.key)
        if (tenure !== undefined) post.respond(delivery, { watching: true, tenure })
        else refuse(delivery, showAddress(to), words)
        return
      }
      case "Watching":
        post.respond(delivery, watches.onWatching(to.home, message))
        return
      case "Unwatch":
        watches.onUnwatch(to.home, message.watcher, message.key)
        return
      case "Gone":
        watches.onGone(message.key, message.reason)
        return
    }
  }

  const dump = (delivery: Delivery): void => {
    if (!options.dump) {
      refuse(delivery, `${nodeId}/system/main`, `Node ${nodeId} keeps no flight recording`)
      return
    }
    try {
      post.respond(delivery, options.dump())
    } catch (error) {
      const words = wordsOf(error)
      refuse(delivery, `${nodeId}/system/main`, `Cannot write the flight recording: ${words}`)
    }
  }

  return (delivery) => {
    const subject = parseSubject(delivery.subject)
    if (!subject) return
    const parsed = decodeBody(delivery.body)
    const decoded = parsed.ok ? decodeSys(parsed.message) : parsed
    if (!decoded.ok) {
      const message = `The runtime of ${nodeId} does not understand this: ${decoded.problem}`
      post.refuse(delivery, new NotUnderstood({ address: showAddress(subject.to), message }))
      return
    }
    answer(delivery, subject.to, decoded.message as SysMessage)
  }
}

function traced(
  { nodeId, trace }: SysLaneOptions,
  { exact, ledBy }: { readonly exact: ReadonlyArray<string>; readonly ledBy: ReadonlyArray<string> },
  maxBytes: number
): Traced {
  const all = trace?.find(new Set(exact), new Set(ledBy), mostTraced + 1) ?? []
  let records = all.slice(0, mostTraced)
  while (records.length > 1 && encodeBody(records).length > maxBytes - 256) {
    records = records.slice(0, Math.ceil(records.length / 2))
  }
  return { nodeId, records, more: records.length < all.length }
}

function detailsOf({ nodeId, now, trace, recorder }: SysLaneOptions, cell: Cell): Details {
  const { decide, mailbox, self, status } = cell
  const summary = cell.summary()
  const micros = (value: number): number => Math.round(value * 10) / 10
  return {
    nodeId,
    address: self,
    state: status === "closed" ? "stopped" : status,
    life: cell.life,
    handled: cell.handled,
    depth: mailbox.depth,
    capacity: mailbox.capacity,
    performing: cell.performing,
    timers: cell.timers,
    ...(summary !== undefined && { summary }),
    ...cell.lastCrash,
    decideMicros: {
      mean: micros(decide.sumMicros / Math.max(1, decide.count)),
      p50: micros(decide.quantile(0.5)),
      p99: micros(decide.quantile(0.99)),
      max: micros(decide.maxMicros)
    },
    waiting: mailbox
      .waiting()
      .slice(0, shown)
      .map(({ message, at, from, cause }) => ({
        tag: tagOf(message),
        ageMs: now() - at,
        ...(from && { from: showAddress(from) }),
        ...(cause && { id: cause.id })
      })),
    messages: trace?.newest(self, shown) ?? [],
    recorded: recorder?.recent(self, shown) ?? []
  }
}
