/**
 * What a container has used, read from its cgroup's files where they can be read (cgroup v1 and v2): some tens of
 * microseconds each, where asking the Engine costs it and us a millisecond.
 */
import { readFileSync } from "node:fs"

export interface Used {
  /** Since the container began. */
  readonly cpuNanos: number
  /** Without page cache that can be dropped, as `docker stats` shows it. */
  readonly memoryBytes: number
}

/** The files of one container's cgroup. */
type Reader = () => Used

const root = "/sys/fs/cgroup"
const read = (path: string): string => readFileSync(path, "latin1")

/** Readers by container; one that fails is forgotten, because its container is another one by then, or gone. */
export class CgroupUsage {
  readonly #readers = new Map<string, Reader>()

  /** Nothing where the files cannot be read, or are not this container's. */
  of(container: string, pid: number): Used | undefined {
    try {
      const reader = this.#readers.get(container) ?? openCgroup(container, pid)
      if (reader === undefined) return undefined
      const used = reader()
      this.#readers.set(container, reader)
      return used
    } catch {
      this.#readers.delete(container)
      return undefined
    }
  }

  /** Forgets all but these. */
  keep(containers: ReadonlySet<string>): void {
    for (const id of this.#readers.keys()) if (!containers.has(id)) this.#readers.delete(id)
  }
}

function openCgroup(container: string, pid: number): Reader | undefined {
  const paths = new Map<string, string>()
  for (const line of read(`/proc/${pid}/cgroup`).split("\n")) {
    const [, controllers = "", path = ""] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    // A process that is in no cgroup of its own, or a number that another process has by now.
    if (!path.includes(container)) continue
    for (const controller of controllers.split(",")) paths.set(controller, path)
  }
  const [cpu, memory, unified] = [paths.get("cpuacct"), paths.get("memory"), paths.get("")]
  if (cpu !== undefined && memory !== undefined) return v1(`${root}/cpuacct${cpu}`, `${root}/memory${memory}`)
  return unified === undefined ? undefined : v2(`${root}${unified}`)
}

const v1 =
  (cpu: string, memory: string): Reader =>
  () => ({
    cpuNanos: Number(read(`${cpu}/cpuacct.usage`)),
    memoryBytes: withoutCache(
      Number(read(`${memory}/memory.usage_in_bytes`)),
      field(read(`${memory}/memory.stat`), "total_inactive_file")
    )
  })

const v2 =
  (path: string): Reader =>
  () => ({
    cpuNanos: field(read(`${path}/cpu.stat`), "usage_usec") * 1_000,
    memoryBytes: withoutCache(
      Number(read(`${path}/memory.current`)),
      field(read(`${path}/memory.stat`), "inactive_file")
    )
  })

const withoutCache = (usage: number, cache: number): number => Math.max(0, usage - cache)

function field(text: string, name: string): number {
  return Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)?.[1] ?? 0)
}
