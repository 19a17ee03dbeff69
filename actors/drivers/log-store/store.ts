/** What a node remembers of its tasks' output: a folder per task, all of them within one size and one age. */
import { mkdirSync, readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { Schema } from "effect"
import { type Bounds, prune } from "#actors/drivers/log-store/prune.ts"
import { TaskFacts } from "#actors/drivers/log-store/task-facts.ts"
import { listSegments, type Segment, TaskLog } from "#actors/drivers/log-store/task-log.ts"
import { privateDirectory, readIfThere, writePrivate } from "#actors/drivers/machine/files.ts"

export interface StoreOptions extends Bounds {
  /** Everything is below it. */
  readonly folder: string
  /** Kept of each task; `Infinity` for all. */
  readonly linesPerSecond: number
}

const decodeFacts = Schema.decodeUnknownSync(Schema.fromJsonString(TaskFacts))
const factsFile = "task.json"
/** Lines wait this long for company. What a crash takes of them is read from the Engine again. */
const staleAfterMs = 30_000
/** What a file takes on disk. */
const pageBytes = 4_096

interface Kept {
  readonly facts: TaskFacts
  /** Opened when it is first asked for. */
  log?: TaskLog
}

export class LogStore {
  readonly #options: StoreOptions
  readonly #tasks = new Map<string, Kept>()

  /** Finds what is there. Ids of tasks are names of folders: whoever gives them has checked them. */
  constructor(options: StoreOptions) {
    this.#options = options
    privateDirectory(options.folder)
    for (const id of readdirSync(options.folder)) {
      try {
        const facts = decodeFacts(readIfThere(join(this.#folderOf(id), factsFile)) ?? "")
        this.#tasks.set(id, { facts })
      } catch {
        // Begun and cut short by a crash: nobody could find what is in it.
        rmSync(this.#folderOf(id), { recursive: true, force: true })
      }
    }
  }

  get tasks(): ReadonlyArray<TaskFacts> {
    return [...this.#tasks.values()].map(({ facts }) => facts)
  }

  find(task: string): TaskLog | undefined {
    const kept = this.#tasks.get(task)
    if (kept !== undefined) kept.log ??= this.#openLog(task)
    return kept?.log
  }

  /** The task's log, begun if it is not there. */
  open(facts: TaskFacts): TaskLog {
    const known = this.find(facts.task)
    if (known !== undefined) return known
    const folder = this.#folderOf(facts.task)
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 })
      writePrivate(join(folder, factsFile), JSON.stringify(facts))
    } catch (error) {
      rmSync(folder, { recursive: true, force: true })
      throw error
    }
    const log = this.#openLog(facts.task)
    this.#tasks.set(facts.task, { facts, log })
    return log
  }

  /** Writes what has waited long enough, and lets go of what is too much; `inUse`: tasks whose output still comes. */
  tidy(now: number, inUse: (task: string) => boolean): void {
    for (const { log } of this.#tasks.values()) log?.tidy(now, now - staleAfterMs)
    const kept = [...this.#tasks].map(([id, { log }]) => ({
      id,
      segments: (log?.segments ?? listSegments(this.#folderOf(id))).map(onDisk)
    }))
    for (const [id, count] of prune(kept, this.#options, now)) this.find(id)?.dropOldest(count)
    for (const [id, { log }] of this.#tasks) {
      if (log?.isEmpty !== true || inUse(id)) continue
      this.#tasks.delete(id)
      rmSync(this.#folderOf(id), { recursive: true, force: true })
    }
  }

  /** Writes everything. */
  flush(now: number): void {
    for (const { log } of this.#tasks.values()) log?.flush(now)
  }

  readonly #folderOf = (task: string): string => join(this.#options.folder, task)

  #openLog(task: string): TaskLog {
    return new TaskLog(this.#folderOf(task), this.#options.linesPerSecond)
  }
}

const onDisk = ({ bytes, writtenAt }: Segment) => ({
  bytes: Math.ceil(bytes / pageBytes) * pageBytes,
  writtenAt
})
