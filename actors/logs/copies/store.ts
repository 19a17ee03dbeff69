/** Copies of other nodes' logs: what each said of its own tasks, within one size and one age for all of them. */
import type { Buffer } from "node:buffer"
import type { LogLine } from "#actors/drivers/executor.ts"
import { parseBlocks, unseal } from "#actors/drivers/log-store/block.ts"
import type { Marks } from "#actors/drivers/log-store/marks.ts"
import { LogStore } from "#actors/drivers/log-store/store.ts"
import type { TaskLog } from "#actors/drivers/log-store/task-log.ts"
import type { CopyAnswer, ToCopy } from "#actors/logs/copies/protocol.ts"
import type { WantedTasks } from "#actors/logs/decide.ts"
import type { CopyFacts } from "#actors/logs/protocol.ts"
import { isToken } from "#runtime/address.ts"

export interface CopyOptions {
  readonly folder: string
  readonly maxBytes: number
  readonly maxAgeMs: number
}

/** A node that runs more than these has tasks of which nothing is copied; a thief of its name takes no more. */
export const mostTasksOfNode = 2_000
const refuse = (reason: string): CopyAnswer => ({ _tag: "Refused", reason })

export class CopyStore {
  readonly #store: LogStore
  /** What came last, by node and task. */
  readonly #last = new Map<string, { readonly epoch: string; readonly seq: number }>()

  constructor({ folder, ...bounds }: CopyOptions) {
    this.#store = new LogStore({ folder, ...bounds, linesPerSecond: Number.POSITIVE_INFINITY })
  }

  /** Answers what `node` says, which its subject shows. `now` is milliseconds since the epoch. */
  hear(node: string, [said, block]: readonly [ToCopy, Buffer], now: number): CopyAnswer {
    return said._tag === "Begin" ? this.#begin(node, said) : this.#take(node, said, block, now)
  }

  find(node: string, task: string): TaskLog | undefined {
    return this.#store.find(keyOf(node, task))
  }

  kept({ service, task }: WantedTasks): ReadonlyArray<CopyFacts> {
    return this.#store.tasks
      .map((facts) => ({ facts, ...partsOf(facts.task) }))
      .filter(({ facts }) => service === undefined || facts.service === service)
      .filter((one) => task === undefined || one.task.startsWith(task))
      .map(({ facts, node, task: id }) => ({
        ...facts,
        task: id,
        node,
        newest: newestOf(this.#store.find(facts.task)?.marks ?? {})
      }))
  }

  tidy(now: number): void {
    this.#store.tidy(now, () => false)
  }

  flush(now: number): void {
    this.#store.flush(now)
  }

  #begin(node: string, { epoch, facts }: Extract<ToCopy, { _tag: "Begin" }>): CopyAnswer {
    if (!isToken(facts.task)) return refuse("a task's id is a token")
    const key = keyOf(node, facts.task)
    if (this.#store.find(key) === undefined && this.#tasksOf(node) >= mostTasksOfNode)
      return refuse(`of one node ${mostTasksOfNode} tasks are copied`)
    const log = this.#store.open({ ...facts, task: key })
    // It reads on from somewhat before: what comes twice is left out.
    log.resume()
    this.#last.set(key, { epoch, seq: 0 })
    return { _tag: "Begun", marks: log.marks }
  }

  #take(
    node: string,
    { epoch, task, seq }: Extract<ToCopy, { _tag: "Lines" }>,
    block: Buffer,
    now: number
  ): CopyAnswer {
    const key = keyOf(node, task)
    const last = this.#last.get(key)
    const log = last === undefined ? undefined : this.#store.find(key)
    if (last?.epoch !== epoch || log === undefined || seq > last.seq + 1) return { _tag: "NotBegun" }
    if (seq <= last.seq) return { _tag: "Stored" }
    const lines = linesOf(block)
    if (lines === undefined) return refuse("the block is not whole")
    log.take(lines, now)
    this.#last.set(key, { epoch, seq })
    return { _tag: "Stored" }
  }

  #tasksOf(node: string): number {
    return this.#store.tasks.filter(({ task }) => partsOf(task).node === node).length
  }
}

/** Neither has a dot in it. */
const keyOf = (node: string, task: string): string => `${node}.${task}`

function partsOf(key: string): { readonly node: string; readonly task: string } {
  const at = key.indexOf(".")
  return { node: key.slice(0, at), task: key.slice(at + 1) }
}

function linesOf(bytes: Buffer): ReadonlyArray<LogLine> | undefined {
  const [place, ...more] = parseBlocks(bytes).blocks
  if (place === undefined || more.length > 0) return undefined
  try {
    return unseal(place, bytes.subarray(place.at, place.at + place.head.bytes))
  } catch {
    return undefined
  }
}

function newestOf({ stdout, stderr }: Marks): string {
  const [, newest = ""] = [stdout?.time ?? "", stderr?.time ?? ""].sort()
  return newest
}
