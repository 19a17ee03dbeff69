/**
 * The tasks of this machine as the node knows them: what is on disk, who still runs, and who waits to hear of an end.
 * Nothing here is lost with the node: a new one reads the records and goes on with the same processes.
 */
import { type FSWatcher, mkdirSync, readdirSync, renameSync, rmSync, watch } from "node:fs"
import type { ContainerEvent, ContainerState } from "#actors/drivers/executor.ts"
import { syncFolder } from "#actors/drivers/machine/files.ts"
import { isAlive, type ProcessIdentity, signalGroup } from "#actors/drivers/machine/process-identity.ts"
import {
  type EndRecord,
  endedFolder,
  endPath,
  type ProcessRecord,
  processPath,
  readRecord,
  shimPath,
  type TaskRecord,
  taskFolder,
  taskPath,
  writeEnd,
  writeRecord
} from "#actors/drivers/process/records.ts"
import { wordsOf } from "#runtime/words-of.ts"

const neverTime = "0001-01-01T00:00:00Z"
/** The watch tells in milliseconds; this is for what it missed, and for shims that somebody killed. */
const lookEveryMs = 1_000

const isId = /^[0-9a-f]{64}$/
const isHalf = /^[0-9a-f]{64}\.(new|old)$/

interface Task {
  readonly record: TaskRecord
  /** Heard when it has ended. */
  readonly waiting: Set<() => void>
  /** `Started` was announced, or belongs to an earlier node: its end may be. */
  started: boolean
  ended: boolean
}

export class Processes {
  readonly root: string
  readonly #tasks = new Map<string, Task>()
  readonly #announce: (event: ContainerEvent) => void
  readonly #watch: FSWatcher
  readonly #rounds: NodeJS.Timeout

  /** Reads what an earlier node left in `root`. `announce` hears what happens from now on. */
  constructor(root: string, announce: (event: ContainerEvent) => void) {
    this.root = root
    this.#announce = announce
    mkdirSync(endedFolder(root), { recursive: true, mode: 0o700 })
    for (const id of readdirSync(root)) {
      if (isId.test(id)) this.#adopt(id)
      // One that was being made or removed when the node died.
      else if (isHalf.test(id)) rmSync(taskFolder(root, id), { recursive: true, force: true })
    }
    for (const id of readdirSync(endedFolder(root))) {
      if (!this.#tasks.has(id)) rmSync(endPath(root, id), { force: true })
    }
    this.#watch = watch(endedFolder(root), (_, id) => {
      if (typeof id === "string") this.#lookAt(id)
    })
    this.#rounds = setInterval(() => {
      for (const [id, task] of this.#tasks) if (task.started && !task.ended) this.#lookAt(id)
    }, lookEveryMs)
    this.#rounds.unref()
  }

  close(): void {
    this.#watch.close()
    clearInterval(this.#rounds)
  }

  get(id: string): TaskRecord | undefined {
    return this.#tasks.get(id)?.record
  }

  ids(): ReadonlyArray<string> {
    return [...this.#tasks.keys()]
  }

  find(which: (record: TaskRecord) => boolean): TaskRecord | undefined {
    for (const { record } of this.#tasks.values()) if (which(record)) return record
    return undefined
  }

  /** Puts a new task on disk; it appears whole or not at all. */
  add(record: TaskRecord): void {
    const temporary = taskFolder(this.root, `${record.id}.new`)
    try {
      mkdirSync(temporary, { mode: 0o700 })
      writeRecord(taskPath(this.root, `${record.id}.new`), record)
      renameSync(temporary, taskFolder(this.root, record.id))
    } catch (error) {
      rmSync(temporary, { recursive: true, force: true })
      throw new Error(`Cannot write below ${this.root}: ${wordsOf(error)}`, { cause: error })
    }
    syncFolder(this.root)
    this.#tasks.set(record.id, { record, waiting: new Set(), started: false, ended: false })
  }

  /** Says that its process runs, or has run: from here on its end is announced. */
  started(id: string): void {
    const task = this.#tasks.get(id)
    if (task === undefined || task.started) return
    task.started = true
    this.#announce({ _tag: "Started", containerId: id, labels: task.record.labels })
    this.#lookAt(id)
  }

  /** Forgets a task that no longer runs. */
  drop(id: string): void {
    const task = this.#tasks.get(id)
    if (task === undefined) return
    // Its end may have been seen by whoever removes it before it was seen here.
    this.#lookAt(id)
    this.#tasks.delete(id)
    const doomed = taskFolder(this.root, `${id}.old`)
    renameSync(taskFolder(this.root, id), doomed)
    rmSync(doomed, { recursive: true, force: true })
    rmSync(endPath(this.root, id), { force: true })
    for (const hear of task.waiting) hear()
    this.#announce({ _tag: "Destroyed", containerId: id, labels: task.record.labels })
  }

  process(id: string): ProcessRecord | undefined {
    return readRecord<ProcessRecord>(processPath(this.root, id))
  }

  end(id: string): EndRecord | undefined {
    return readRecord<EndRecord>(endPath(this.root, id))
  }

  /** Calls `hear` once when the task has ended or is gone; gives a function that stops waiting. */
  onEnd(id: string, hear: () => void): () => void {
    const task = this.#tasks.get(id)
    if (task === undefined || this.#settle(id) !== undefined) {
      hear()
      return () => {}
    }
    task.waiting.add(hear)
    return () => task.waiting.delete(hear)
  }

  state(id: string): ContainerState | undefined {
    const task = this.#tasks.get(id)
    if (task === undefined) return undefined
    const { record } = task
    const end = this.#settle(id)
    const running = this.process(id)
    return {
      id,
      name: record.name,
      labels: record.labels,
      status: end !== undefined ? "exited" : running !== undefined ? "running" : "created",
      pid: end === undefined ? (running?.pid ?? 0) : 0,
      exitCode: end?.exitCode ?? 0,
      oomKilled: false,
      error: end?.error ?? "",
      startedAt: running?.startedAt ?? neverTime,
      finishedAt: end?.finishedAt ?? neverTime,
      addresses: {},
      ports: [],
      ...(record.graceMs !== undefined && { graceMs: record.graceMs })
    }
  }

  #adopt(id: string): void {
    const record = readRecord<TaskRecord>(taskPath(this.root, id))
    if (record === undefined) return
    const started = readRecord(shimPath(this.root, id)) !== undefined
    this.#tasks.set(id, { record, waiting: new Set(), started, ended: this.end(id) !== undefined })
  }

  #lookAt(id: string): void {
    const task = this.#tasks.get(id)
    if (task === undefined || !task.started || task.ended) return
    const end = this.#settle(id)
    if (end === undefined) return
    task.ended = true
    const { labels } = task.record
    this.#announce({ _tag: "Died", containerId: id, labels, exitCode: end.exitCode })
    for (const hear of task.waiting) hear()
    task.waiting.clear()
  }

  /** How it ended, if it did. Where the shim was killed, its process is ended too: nobody would keep its output. */
  #settle(id: string): EndRecord | undefined {
    const end = this.end(id)
    if (end !== undefined) return end
    const shim = readRecord<ProcessIdentity>(shimPath(this.root, id))
    if (shim === undefined || isAlive(shim)) return undefined
    // The shim writes the end and then goes: what it wrote in between counts.
    const written = this.end(id)
    if (written !== undefined) return written
    const running = this.process(id)
    if (running !== undefined) signalGroup(running, "SIGKILL")
    const lost: EndRecord = {
      exitCode: 137,
      finishedAt: new Date().toISOString(),
      error: "the process that watched the task was killed, or the machine was restarted"
    }
    try {
      writeEnd(this.root, id, lost)
    } catch {
      // The disk does not take it: the next node finds the same.
    }
    return lost
  }
}
