/**
 * Which lines of which tasks are published next. The memory on disk is the queue: what cannot be said now is said later, and
 * what the memory lets go of meanwhile is counted. NATS says nothing of who heard it.
 */
import { Onward } from "#actors/drivers/log-store/onward.ts"
import type { TaskFacts } from "#actors/drivers/log-store/task-facts.ts"
import { toTimestamp } from "#actors/logs/choose.ts"
import type { LogMemoryService } from "#actors/logs/memory.ts"
import { describeLines, logSubject } from "#actors/logs/publish/protocol.ts"
import type { TransportService } from "#runtime/transport.ts"

export interface PublishOptions {
  readonly cluster: string
  readonly nodeId: string
  /** Another one in each life of the process. */
  readonly epoch: string
  readonly transport: Pick<TransportService, "publish">
  readonly memory: Pick<LogMemoryService, "about" | "tasks">
}

/** What a node says in one round, of all tasks, in bytes of their output: 2.5 MiB a second. */
const bytesPerRound = 512 * 1024

interface Published {
  readonly facts: TaskFacts
  readonly onward: Onward
  /** What was written before is not published. */
  readonly from: string
  seq: number
}

export class Publisher {
  readonly #options: PublishOptions
  readonly #encoder = new TextEncoder()
  /** By task id, since when, as a line's timestamp. */
  readonly #wanted = new Map<string, string>()
  readonly #published = new Map<string, Published>()

  constructor(options: PublishOptions) {
    this.#options = options
  }

  /** Of these tasks, from now on; `now` is milliseconds since the epoch. */
  want(tasks: ReadonlyArray<string>, now: number): void {
    const named = new Set(tasks)
    for (const task of named) if (!this.#wanted.has(task)) this.#wanted.set(task, toTimestamp(now / 1_000))
    for (const task of [...this.#wanted.keys()]) if (!named.has(task)) this.#wanted.delete(task)
  }

  get isIdle(): boolean {
    return this.#wanted.size === 0 && this.#published.size === 0
  }

  /** Says what has come, as much as one round may; `kept`: the tasks that the memory knows. */
  round(kept: ReadonlyArray<TaskFacts>): void {
    for (const facts of kept) {
      const from = this.#wanted.get(facts.task)
      const log = this.#options.memory.about(facts.task)?.log
      if (from === undefined || log === undefined || this.#published.has(facts.task)) continue
      this.#published.set(facts.task, { facts, from, seq: 0, onward: new Onward(log, log.notBefore(from)) })
    }
    let left = bytesPerRound
    for (const [task, published] of [...this.#published]) {
      const state = this.#options.memory.about(task)?.state
      const isWanted = this.#wanted.has(task)
      // Its label was taken away; a task that has ended is told of to its end.
      const isOver = state === undefined || (state === "following" && !isWanted)
      const said = isOver ? "all" : this.#say(published, left)
      if (said === "all" && (isOver || !isWanted)) this.#published.delete(task)
      if (typeof said !== "number") continue
      left -= said
      // Who had a turn waits for those that had none.
      this.#published.delete(task)
      this.#published.set(task, published)
      if (left <= 0) return
    }
  }

  /** The bytes that were said, `all` where nothing was left to say. While NATS is away these are none. */
  #say(published: Published, mostBytes: number): number | "all" {
    const { cluster, nodeId, epoch, transport } = this.#options
    const { facts, onward, from } = published
    let bytes = 0
    while (bytes < mostBytes) {
      const stretch = onward.next()
      if (stretch === undefined) return bytes === 0 ? "all" : bytes
      const lines = stretch.lines.filter(({ timestamp }) => timestamp >= from)
      if (lines.length > 0) {
        const seq = published.seq + 1
        const body = describeLines(facts, { node: nodeId, epoch, seq }, { ...stretch, lines })
        const subject = logSubject(cluster, facts.service, facts.task, nodeId)
        try {
          transport.publish(subject, {}, this.#encoder.encode(JSON.stringify(body)))
        } catch {
          return bytes
        }
        published.seq = seq
        for (const { line } of lines) bytes += line.length
      }
      onward.taken()
    }
    return bytes
  }
}
