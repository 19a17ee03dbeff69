/** What befalls the managers of a soak: one fault at a time, or two, which may cost the majority; each is taken back. */
import { readFileSync } from "node:fs"
import process from "node:process"
import type { Fresh } from "#runtime/ids.ts"
import { dataOf, type Machine } from "#test/lab/machines.ts"
import { block, cut, heal } from "#test/lab/network.ts"
import { isAlive, until } from "#test/lab/processes.ts"
import { startNode } from "#test/lab/troupe.ts"

export interface Fault {
  readonly name: string
  readonly begin: () => Promise<void>
  /** As before; of a process that ended, another one. */
  readonly end: () => Promise<void>
}

/** A manager whose process is meant to run. */
export interface Manned {
  readonly machine: Machine
  /** It was ended on purpose. */
  down: boolean
}

type Make = (at: Manned, others: ReadonlyArray<Machine>, chance: Fresh) => Fault

const nothing = async (): Promise<void> => {}

export const natsPidOf = ({ name }: Machine): number => {
  try {
    return JSON.parse(readFileSync(`${dataOf(name)}/nats/server.json`, "utf8")).server.pid
  } catch {
    return 0
  }
}

const signal = (pid: number, name: NodeJS.Signals): void => {
  if (isAlive(pid)) process.kill(pid, name)
}

async function gone(at: Manned, how: NodeJS.Signals): Promise<void> {
  at.down = true
  signal(at.machine.nodePid, how)
  await until(`the end of ${at.machine.name}`, 30, () => !isAlive(at.machine.nodePid))
}
async function back(at: Manned): Promise<void> {
  await startNode(at.machine)
  at.down = false
}

const kill: Make = (at) => ({
  name: "kill -9 of a manager",
  begin: () => gone(at, "SIGKILL"),
  end: () => back(at)
})
const killWhole: Make = (at) => ({
  name: "kill -9 of a manager and its nats-server",
  begin: async () => {
    const nats = natsPidOf(at.machine)
    await gone(at, "SIGKILL")
    signal(nats, "SIGKILL")
  },
  end: () => back(at)
})
const handOver: Make = (at) => ({
  name: "SIGTERM of a manager",
  begin: () => gone(at, "SIGTERM"),
  end: () => back(at)
})
const freeze: Make = ({ machine }) => ({
  name: "SIGSTOP of a manager",
  begin: async () => signal(machine.nodePid, "SIGSTOP"),
  end: async () => signal(machine.nodePid, "SIGCONT")
})
const freezeNats: Make = ({ machine }) => {
  const pid = natsPidOf(machine)
  return {
    name: "SIGSTOP of a nats-server",
    begin: async () => signal(pid, "SIGSTOP"),
    end: async () => signal(pid, "SIGCONT")
  }
}
const killNats: Make = ({ machine }) => ({
  name: "kill -9 of a nats-server",
  begin: async () => signal(natsPidOf(machine), "SIGKILL"),
  end: nothing
})
const cutOff: Make = ({ machine }) => ({
  name: "a manager's link is down",
  begin: async () => cut(machine),
  end: async () => heal(machine)
})
const blocked =
  (
    name: string,
    how: (other: Machine, others: ReadonlyArray<Machine>) => Parameters<typeof block>[1]
  ): Make =>
  ({ machine }, others, chance) => ({
    name,
    begin: async () => block(machine, how(others[chance.below(others.length)] as Machine, others)),
    end: async () => block(machine, {})
  })

const makers: ReadonlyArray<Make> = [
  kill,
  kill,
  killWhole,
  handOver,
  handOver,
  freeze,
  freeze,
  freezeNats,
  killNats,
  cutOff,
  blocked("a link is cut both ways", (other) => ({ from: [other], to: [other] })),
  blocked("a link is cut one way", (other) => ({ from: [other] })),
  blocked("a manager hears nobody", (_, others) => ({ from: others })),
  blocked("a manager is heard by nobody", (_, others) => ({ to: others }))
]

/** Faults of `count` managers, half of the time the leader among them. */
export function draw(
  chance: Fresh,
  all: ReadonlyArray<Manned>,
  leader: Manned | undefined,
  count: number
): ReadonlyArray<Fault> {
  const left = [...all]
  const faults: Array<Fault> = []
  while (faults.length < count) {
    const anyone = left[chance.below(left.length)] as Manned
    const at = leader !== undefined && left.includes(leader) && chance.below(2) === 0 ? leader : anyone
    left.splice(left.indexOf(at), 1)
    const make = makers[chance.below(makers.length)] as Make
    const others = all.filter((one) => one !== at).map(({ machine }) => machine)
    const fault = make(at, others, chance)
    faults.push({ ...fault, name: `${fault.name}, ${at === leader ? "which leads" : "which follows"}` })
  }
  return faults
}
