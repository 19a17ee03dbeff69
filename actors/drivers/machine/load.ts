/** What the whole machine uses, from Linux's own files; elsewhere little is known of it. */
import { readFileSync, statfsSync } from "node:fs"
import { availableParallelism, freemem, loadavg, totalmem } from "node:os"
import { KeptFile } from "#actors/drivers/kept-file.ts"
import { acceptedIn, sumInterfaces, type Used } from "#actors/drivers/usage.ts"

/** Counters since the machine began and figures of now; NaN where it cannot be known. */
export interface MachineUse extends Used {
  readonly cores: number
  readonly memoryTotal: number
  /** Of the last minute. */
  readonly load: number
  /** Of the file system that holds the node's data. */
  readonly diskFree: number
  readonly diskTotal: number
}

/** Ticks of 10 ms, in which proc(5) counts on every architecture that Linux knows today. */
const nanosPerTick = 1e7
/** Of containers and of our own bridges: what passes them passes another interface, or stays here. */
const virtual = /^(lo|veth|docker|br-|tr|vx)/

export class MachineLoad {
  readonly #folder: string
  readonly #stat = new KeptFile("/proc/stat")
  readonly #memory = new KeptFile("/proc/meminfo")
  readonly #paging = new KeptFile("/proc/vmstat")
  readonly #load = new KeptFile("/proc/loadavg")

  /** `folder` is on the disk that is asked about. */
  constructor(folder: string) {
    this.#folder = folder
  }

  read(): MachineUse {
    const disk = orElse(() => statfsSync(this.#folder), undefined)
    return {
      cores: availableParallelism(),
      cpuNanos: orElse(() => busyTicks(this.#stat.read()) * nanosPerTick, Number.NaN),
      ...this.#memoryNow(),
      ...orElse(
        () => sumInterfaces(readFileSync("/proc/self/net/dev", "latin1"), (name) => !virtual.test(name)),
        { rxBytes: Number.NaN, txBytes: Number.NaN }
      ),
      accepted: orElse(() => acceptedIn(readFileSync("/proc/self/net/snmp", "latin1")), Number.NaN),
      ...this.#blocks(),
      pids: orElse(() => Number(/\/(\d+) /.exec(this.#load.read())?.[1] ?? Number.NaN), Number.NaN),
      load: loadavg()[0] ?? Number.NaN,
      diskFree: disk === undefined ? Number.NaN : disk.bavail * disk.bsize,
      diskTotal: disk === undefined ? Number.NaN : disk.blocks * disk.bsize
    }
  }

  #memoryNow(): Pick<MachineUse, "memoryBytes" | "memoryTotal"> {
    const kib = (name: string, text: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? Number.NaN)
    return orElse(
      () => {
        const text = this.#memory.read()
        const memoryTotal = kib("MemTotal", text) * 1024
        return { memoryTotal, memoryBytes: memoryTotal - kib("MemAvailable", text) * 1024 }
      },
      { memoryTotal: totalmem(), memoryBytes: totalmem() - freemem() }
    )
  }

  /** The kernel counts in KiB what came from disks and went there. */
  #blocks(): Pick<MachineUse, "readBytes" | "writtenBytes"> {
    const kib = (name: string, text: string): number =>
      Number(new RegExp(`^${name} (\\d+)`, "m").exec(text)?.[1] ?? Number.NaN)
    return orElse(
      () => {
        const text = this.#paging.read()
        return { readBytes: kib("pgpgin", text) * 1024, writtenBytes: kib("pgpgout", text) * 1024 }
      },
      { readBytes: Number.NaN, writtenBytes: Number.NaN }
    )
  }
}

/** proc_stat(5): all but idle and waiting for a disk; guests' time is in user time already. */
function busyTicks(text: string): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = text
    .slice(0, text.indexOf("\n"))
    .split(/\s+/)
    .slice(1)
    .map(Number)
  return user + nice + system + irq + softirq + steal
}

function orElse<A>(read: () => A, otherwise: A): A {
  try {
    return read()
  } catch {
    return otherwise
  }
}
