/**
 * Machines of the lab: network namespaces joined by a bridge, each with a real Docker Engine of its own, and Troupe or
 * Docker's own Swarm on it. What is started is written down before, so that `takeDown` finds it however far a start came.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import process from "node:process"
import { LabError } from "#test/lab/processes.ts"

/** Two labs beside each other have different names, of few letters, and different networks. */
export const lab = process.env.TROUPE_LAB ?? "tl"
export const subnet = process.env.TROUPE_LAB_NET ?? "10.77.0"
const labFolder = lab === "tl" ? "troupe-lab" : `troupe-lab-${lab}`
export const base = process.env.TROUPE_LAB_DIR ?? `/var/lib/${labFolder}`
export const runBase = `/run/${labFolder}`
const stateFile = join(base, "lab.json")
export const bridge = `${lab}-br`

export interface Machine {
  readonly name: string
  readonly address: string
  readonly role: "manager" | "worker"
  /** Docker's Swarm runs inside the Engine, and is there for comparison. */
  readonly orchestrator: "troupe" | "swarm"
  /** Without an Engine tasks are processes. */
  readonly hasEngine: boolean
  /** 0 until it was started. */
  enginePid: number
  /** 0 until it was started; the Engine's own under Swarm. */
  nodePid: number
}

export const readMachines = (): Array<Machine> =>
  existsSync(stateFile) ? JSON.parse(readFileSync(stateFile, "utf8")) : []

export function writeMachines(machines: ReadonlyArray<Machine>): void {
  mkdirSync(base, { recursive: true })
  writeFileSync(stateFile, JSON.stringify(machines, null, 2))
}

export const newMachine = (
  at: number,
  { role = "manager", orchestrator = "troupe", hasEngine = true }: Partial<Machine> = {}
): Machine => ({
  name: `n${at}`,
  address: `${subnet}.${10 + at}`,
  role,
  orchestrator,
  hasEngine,
  enginePid: 0,
  nodePid: 0
})

/** Machines for a program that takes them down again; they are written down by whoever starts them. */
export function freshMachines(count: number, how: (at: number) => Partial<Machine>): Array<Machine> {
  if (readMachines().length > 0) throw new LabError("a lab is up already: bun run lab down")
  return Array.from({ length: count }, (_, at) => newMachine(at + 1, how(at + 1)))
}

/** Three managers without Engines. */
export const threeMachines = (): Array<Machine> => freshMachines(3, () => ({ hasEngine: false }))

export const folderOf = (name: string): string => join(base, name)
export const dataOf = (name: string): string => join(folderOf(name), "data")
/** Unix socket paths have room for 107 bytes, so these are short and apart from the data. */
export const runFolderOf = (name: string): string => join(runBase, name)
export const socketOf = (name: string): string => join(runFolderOf(name), "troupe.sock")
export const engineOf = (name: string): string => join(runFolderOf(name), "engine.sock")
export const namespaceOf = (name: string): string => `${lab}-${name}`
/** The control group that all containers of the machine are below. */
export const groupOf = (name: string): string => `/${lab}-${name}`

/** Where the machine's cluster is spoken to in Docker's words. */
export const apiOf = ({ name, orchestrator }: Machine): string =>
  orchestrator === "swarm" ? engineOf(name) : socketOf(name)
