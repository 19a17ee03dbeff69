/**
 * What a container has used, read from its cgroup's files where they can be read (cgroup v1 and v2): some tens of
 * microseconds each, where asking the Engine costs it and us a millisecond.
 */
import { existsSync, readFileSync, readlinkSync } from "node:fs"
import { KeptFile } from "#actors/drivers/kept-file.ts"

/** All but memory and processes since the container began; NaN where it cannot be known. */
export interface Used {
  readonly cpuNanos: number
  /** Without page cache that can be dropped, as `docker stats` shows it. */
  readonly memoryBytes: number
  /** Of all its interfaces but loopback; unknown where its network is the machine's own. */
  readonly rxBytes: number
  readonly txBytes: number
  readonly readBytes: number
  readonly writtenBytes: number
  /** Processes and threads there are now. */
  readonly pids: number
  /** TCP connections that were taken in its network, whichever way they came; unknown where `rxBytes` is, or nobody counts. */
  readonly accepted: number
}

/** The files of one container's cgroup. */
interface Reader {
  readonly read: (counting: boolean) => Used
  readonly close: () => void
}

const root = "/sys/fs/cgroup"

/** Readers by container; one that fails is forgotten, because its container is another one by then, or gone. */
export class CgroupUsage {
  readonly #readers = new Map<string, Reader>()

  /**
   * Nothing where the files cannot be read, or are not this container's. Connections are looked for only where `counting`:
   * the kernel adds them up over all cores, which takes as long as a third of all else.
   */
  of(container: string, pid: number, counting: boolean): Used | undefined {
    const known = this.#readers.get(container)
    const reader = known ?? openCgroup(container, pid)
    if (reader === undefined) return undefined
    try {
      const used = reader.read(counting)
      this.#readers.set(container, reader)
      return used
    } catch {
      reader.close()
      this.#readers.delete(container)
      return undefined
    }
  }

  /** Forgets all but these. */
  keep(containers: ReadonlySet<string>): void {
    for (const [id, reader] of this.#readers) {
      if (containers.has(id)) continue
      reader.close()
      this.#readers.delete(id)
    }
  }
}

function openCgroup(container: string, pid: number): Reader | undefined {
  const paths = new Map<string, string>()
  let network: Network | undefined
  try {
    for (const line of readFileSync(`/proc/${pid}/cgroup`, "latin1").split("\n")) {
      const [, controllers = "", path = ""] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
      // A process that is in no cgroup of its own, or a number that another process has by now.
      if (!path.includes(container)) continue
      for (const controller of controllers.split(",")) paths.set(controller, path)
    }
    network = networkOf(pid)
  } catch {
    return undefined
  }
  const [cpu, memory, unified] = [paths.get("cpuacct"), paths.get("memory"), paths.get("")]
  if (cpu !== undefined && memory !== undefined) return v1(paths, network)
  return unified === undefined ? undefined : v2(`${root}${unified}`, network)
}

function v1(paths: ReadonlyMap<string, string>, network: Network): Reader {
  const file = (controller: string, name: string) =>
    optionalFile(`${root}/${controller}${paths.get(controller) ?? "/none"}/${name}`)
  const cpu = file("cpuacct", "cpuacct.usage")
  const usage = file("memory", "memory.usage_in_bytes")
  const stat = file("memory", "memory.stat")
  const block = file("blkio", "blkio.throttle.io_service_bytes_recursive")
  const pids = file("pids", "pids.current")
  return {
    read: (counting) => ({
      cpuNanos: wholeOf(cpu),
      memoryBytes: withoutCache(wholeOf(usage), field(stat?.read() ?? "", "total_inactive_file")),
      ...network(counting),
      ...operations(block?.read(), / Read (\d+)/g, / Write (\d+)/g),
      pids: wholeOf(pids)
    }),
    close: () => closeAll(cpu, usage, stat, block, pids)
  }
}

function v2(path: string, network: Network): Reader {
  const file = (name: string) => optionalFile(`${path}/${name}`)
  const cpu = file("cpu.stat")
  const usage = file("memory.current")
  const stat = file("memory.stat")
  const block = file("io.stat")
  const pids = file("pids.current")
  return {
    read: (counting) => ({
      cpuNanos: cpu === undefined ? Number.NaN : field(cpu.read(), "usage_usec") * 1_000,
      memoryBytes: withoutCache(wholeOf(usage), field(stat?.read() ?? "", "inactive_file")),
      ...network(counting),
      ...operations(block?.read(), / rbytes=(\d+)/g, / wbytes=(\d+)/g),
      pids: wholeOf(pids)
    }),
    close: () => closeAll(cpu, usage, stat, block, pids)
  }
}

type Traffic = Pick<Used, "rxBytes" | "txBytes">
type Network = (counting: boolean) => Traffic & Pick<Used, "accepted">
const unknownNetwork = { rxBytes: Number.NaN, txBytes: Number.NaN, accepted: Number.NaN }

/** Opened each time: an open one would hold the container's network after its end. */
function networkOf(pid: number): Network {
  const isOwn = readlinkSync(`/proc/${pid}/ns/net`) !== readlinkSync("/proc/self/ns/net")
  if (!isOwn) return () => unknownNetwork
  return (counting) => ({
    ...sumInterfaces(readFileSync(`/proc/${pid}/net/dev`, "latin1"), (name) => name !== "lo"),
    accepted: counting ? acceptedIn(readFileSync(`/proc/${pid}/net/snmp`, "latin1")) : Number.NaN
  })
}

// RFC 2012: after the timeouts' algorithm and bounds come the limit, active opens and passive opens
const passiveOpens = /^Tcp:(?: -?\d+){5} (\d+)/m

/** Out of /proc/net/snmp, which counts IPv6 in the same place. */
export const acceptedIn = (text: string): number => Number(passiveOpens.exec(text)?.[1] ?? Number.NaN)

// proc_net_dev(5): name, then eight numbers of receiving and eight of sending, of which the first are bytes
const ofInterface = /^\s*(\S+):\s*(\d+)(?:\s+\d+){7}\s+(\d+)/gm

/** Bytes over all interfaces whose name `counts`. */
export function sumInterfaces(text: string, counts: (name: string) => boolean): Traffic {
  let [rxBytes, txBytes] = [0, 0]
  for (const [, name = "", received, sent] of text.matchAll(ofInterface)) {
    if (!counts(name)) continue
    rxBytes += Number(received)
    txBytes += Number(sent)
  }
  return { rxBytes, txBytes }
}

function operations(
  text: string | undefined,
  reads: RegExp,
  writes: RegExp
): Pick<Used, "readBytes" | "writtenBytes"> {
  if (text === undefined) return { readBytes: Number.NaN, writtenBytes: Number.NaN }
  const sum = (pattern: RegExp): number => {
    let total = 0
    for (const [, bytes] of text.matchAll(pattern)) total += Number(bytes)
    return total
  }
  return { readBytes: sum(reads), writtenBytes: sum(writes) }
}

const optionalFile = (path: string): KeptFile | undefined =>
  existsSync(path) ? new KeptFile(path) : undefined
const wholeOf = (file: KeptFile | undefined): number =>
  file === undefined ? Number.NaN : Number(file.read())
const closeAll = (...files: ReadonlyArray<KeptFile | undefined>): void => {
  for (const file of files) file?.close()
}

const withoutCache = (usage: number, cache: number): number => Math.max(0, usage - cache)

function field(text: string, name: string): number {
  const at = text.startsWith(`${name} `) ? 0 : text.indexOf(`\n${name} `) + 1
  if (at === 0 && !text.startsWith(`${name} `)) return 0
  return Number.parseInt(text.slice(at + name.length + 1, at + name.length + 24), 10)
}
