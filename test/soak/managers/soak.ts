/**
 * Three managers, each in a network of its own with its own nats-server and disk, written to and read through every
 * door while they are killed, frozen, cut off and ended in order. Then all is healed, and nothing may be missing:
 * every register's history has an order, everything acknowledged is there, and all disks give the same bytes.
 */
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import process from "node:process"
import { Fresh } from "#runtime/ids.ts"
import { base, folderOf, type Machine, socketOf, threeMachines, writeMachines } from "#test/lab/machines.ts"
import { block, heal } from "#test/lab/network.ts"
import { remove, removeRest } from "#test/lab/power.ts"
import { isAlive, until } from "#test/lab/processes.ts"
import { raise } from "#test/lab/raise.ts"
import { request } from "#test/lab/request.ts"
import { untilWhole } from "#test/lab/troupe.ts"
import { Clients, type Counts } from "#test/soak/managers/clients.ts"
import { agreed, replay } from "#test/soak/managers/compare.ts"
import { httpDoor, type NatsDoor, natsDoor } from "#test/soak/managers/doors.ts"
import { draw, type Fault, type Manned } from "#test/soak/managers/faults.ts"
import { tell } from "#test/soak/managers/tell.ts"
import { wait } from "#test/soak/wait.ts"
import { whenInterrupted } from "#test/support/interrupted.ts"
import { judge } from "#test/support/linearizable.ts"

export interface SoakOptions {
  readonly seconds: number
  readonly writesPerSecond: number
  readonly seed: number
  readonly print: (line: string) => void
}

export interface SoakResult extends Counts {
  readonly operations: number
  readonly keys: number
  readonly faults: Readonly<Record<string, number>>
  /** The longest time without an acknowledged write, in milliseconds: with a majority there all along, and without. */
  readonly longestGapMs: number
  readonly longestGapWithout: number
  readonly duringGap: string
  /** Entries in the log at the end, digests compared on the way, bytes of the snapshots compared. */
  readonly entries: number
  readonly digests: number
  readonly snapshotBytes: number
  readonly problems: ReadonlyArray<string>
}

const clientsPerDoor = 3
const registers = 24
/** One fault in so many befalls two managers at once. */
const oneInDouble = 5

export async function soakManagers(options: SoakOptions): Promise<SoakResult> {
  const { seconds, seed, print } = options
  const machines = threeMachines()
  const chance = Fresh.from(seed)
  const all = machines.map((machine): Manned => ({ machine, down: false }))
  const problems: Array<string> = []
  const faults: Record<string, number> = {}
  const began = performance.now()
  const now = (): number => performance.now() - began
  const say = (words: string): void => print(`${(now() / 1_000).toFixed(1).padStart(7)} s  ${words}`)
  const problem = (words: string): void => {
    problems.push(words)
    say(`VIOLATED: ${words}`)
  }
  const gaps = new Gaps(now)
  let natsDoors: ReadonlyArray<NatsDoor> = []
  const close = async (): Promise<void> => {
    for (const door of natsDoors) await door.close().catch(() => {})
    for (const one of all) {
      one.down = true
      if (isAlive(one.machine.nodePid)) process.kill(one.machine.nodePid, "SIGCONT")
    }
    await Promise.all(machines.map(remove))
    removeRest()
    const left = spawnSync("pgrep", ["-f", base], { encoding: "utf8" }).stdout.trim()
    if (left !== "") problem(`processes are left over: ${left.replaceAll("\n", " ")}`)
  }
  const keep = whenInterrupted(close)
  writeMachines(machines)
  try {
    await raise(machines)
    natsDoors = await Promise.all(machines.map(natsDoor))
    const httpDoors = machines.map(httpDoor)
    const clients = new Clients({
      doors: [...httpDoors, ...natsDoors],
      clientsPerDoor,
      registers,
      writesPerSecond: options.writesPerSecond,
      chance: chance.fork(),
      now,
      acknowledged: () => gaps.acknowledged(),
      problem
    })
    await clients.start()
    say("clients are at work")
    const watch = setInterval(() => {
      for (const one of all) {
        if (one.down || isAlive(one.machine.nodePid)) continue
        one.down = true
        problem(`${one.machine.name} ended by itself:\n${lastWords(one.machine)}`)
      }
    }, 100)
    try {
      gaps.acknowledged()
      const endsAt = now() + seconds * 1_000
      while (now() < endsAt && problems.length === 0) {
        await wait(500 + chance.below(3_000))
        const count = chance.below(oneInDouble) === 0 ? 2 : 1
        const drawn = draw(chance, all, await leaderOf(all), count)
        await befall(drawn, count, 300 + chance.below(4_000))
      }
    } finally {
      clearInterval(watch)
    }
    async function befall(drawn: ReadonlyArray<Fault>, count: number, forMs: number): Promise<void> {
      const name = drawn.map((fault) => fault.name).join("; ")
      for (const fault of drawn) {
        const kind = fault.name.split(", ")[0] as string
        faults[kind] = (faults[kind] ?? 0) + 1
      }
      say(`${name}, for ${forMs} ms`)
      gaps.begin(name, count === 1)
      await Promise.all(drawn.map((fault) => fault.begin()))
      await wait(forMs)
      await Promise.all(drawn.map((fault) => fault.end()))
      gaps.end()
    }

    say("healed; waiting until all agree")
    for (const machine of machines) {
      heal(machine)
      block(machine, {})
    }
    await clients.end()
    await untilWhole(machines)
    const keys = clients.keys
    for (const key of keys) {
      for (const door of httpDoors) {
        const answer = await clients.readOnce(door, key)
        if (answer._tag !== "Done")
          problem(`${key.kind} ${key.id} was acknowledged, and ${door.name} says: ${answer.message}`)
      }
    }
    const judgement = judge(clients.history)
    if (judgement._tag === "Broken") problem(tell(clients.history, judgement))

    const places = await agreed(machines)
    if (new Set(places.map(({ digest }) => digest)).size !== 1)
      problem(`the managers' states differ: ${JSON.stringify(places)}`)
    const { applied } = places[0] as (typeof places)[number]
    for (const one of all) {
      one.down = true
      process.kill(one.machine.nodePid, "SIGKILL")
    }
    await until("the managers' end", 10, () => machines.every(({ nodePid }) => !isAlive(nodePid)))
    const replayed = machines.map((machine) => replay(machine, applied))
    if (new Set(replayed.map(({ sha256 }) => sha256)).size !== 1 || replayed[0]?.digest !== places[0]?.digest)
      problem(`the managers' disks differ: ${JSON.stringify(replayed)}`)
    for (const machine of machines)
      for (const words of defectsOf(machine)) problem(`${machine.name}: ${words}`)
    return {
      ...clients.counts,
      operations: clients.history.length,
      keys: keys.length,
      faults,
      ...gaps.longest(),
      entries: applied,
      digests: Math.max(...replayed.map(({ compared }) => compared)),
      snapshotBytes: replayed[0]?.bytes ?? 0,
      problems
    }
  } finally {
    keep()
    await close()
  }
}

/** How long no write was acknowledged, and what happened meanwhile. */
class Gaps {
  readonly #now: () => number
  #last = 0
  #during: Array<{ readonly name: string; readonly majority: boolean; endedMs: number }> = []
  #longest = { gap: 0, during: "" }
  #without = 0

  constructor(now: () => number) {
    this.#now = now
  }

  begin(name: string, majority: boolean): void {
    this.#during.push({ name, majority, endedMs: Number.POSITIVE_INFINITY })
  }

  end(): void {
    const latest = this.#during.at(-1)
    if (latest !== undefined) latest.endedMs = this.#now()
  }

  acknowledged(): void {
    const now = this.#now()
    const gap = now - this.#last
    const during = this.#during.filter(({ endedMs }) => endedMs >= this.#last)
    const majority = during.every((one) => one.majority)
    if (!majority) this.#without = Math.max(this.#without, gap)
    else if (this.#last > 0 && gap > this.#longest.gap) {
      this.#longest = { gap, during: during.map(({ name }) => name).join("; ") }
    }
    this.#last = now
    // Two managers that were away come back together: what follows at once is still their absence.
    this.#during = this.#during.filter(({ endedMs }) => endedMs > now)
  }

  longest(): Pick<SoakResult, "longestGapMs" | "longestGapWithout" | "duringGap"> {
    return {
      longestGapMs: this.#longest.gap,
      longestGapWithout: this.#without,
      duringGap: this.#longest.during
    }
  }
}

async function leaderOf(all: ReadonlyArray<Manned>): Promise<Manned | undefined> {
  for (const one of all) {
    const answer = await request(socketOf(one.machine.name), "GET", "/raft", undefined, 1_000).catch(
      () => undefined
    )
    if (answer?.body.role === "leader") return one
  }
  return undefined
}

const logOf = ({ name }: Machine): string => readFileSync(`${folderOf(name)}/node.log`, "utf8")
const lastWords = (machine: Machine): string => logOf(machine).slice(-2_000)

/** What an actor's crash or a handler's defect leaves in the log: no fault of the world is a reason for one. */
const defectsOf = (machine: Machine): ReadonlyArray<string> =>
  logOf(machine)
    .split("\n")
    .filter((line) => /^\{"_tag":"(Crashed|GaveUp|Escalated)|BrokenInvariant|a turn failed/.test(line))
    .slice(0, 5)
