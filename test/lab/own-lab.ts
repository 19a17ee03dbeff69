/**
 * A lab of one test file's own, apart from any other that is up: three machines with Engines, the first of them the
 * manager. What it is called and where it lives is read once, when the lab's modules are; so they are imported here.
 */
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import process from "node:process"
import { identityOf, isAlive } from "#actors/drivers/machine/process-identity.ts"
import type { Machine } from "#test/lab/machines.ts"
import { docker } from "#test/support/docker-cli.ts"

export async function ownLab(name: string, net: string) {
  process.env.TROUPE_LAB = name
  process.env.TROUPE_LAB_NET = net
  const { containersOf } = await import("#test/bench/vs-swarm/api.ts")
  const { openSite } = await import("#test/bench/vs-swarm/site.ts")
  const { base, engineOf, namespaceOf, readMachines, socketOf } = await import("#test/lab/machines.ts")
  const { takeDown } = await import("#test/lab/power.ts")
  const ownerFile = join(base, "owner.json")

  let site: Awaited<ReturnType<typeof openSite>> | undefined
  const machines = (): ReadonlyArray<Machine> => site?.machines ?? []
  const machine = (at: number): Machine => machines()[at] as Machine
  const engine = ({ name: of }: Machine): string => `unix://${engineOf(of)}`

  /** A run that was killed leaves its lab, and this one takes its place. */
  async function removeLeftBehind(): Promise<void> {
    const owner = existsSync(ownerFile) ? JSON.parse(readFileSync(ownerFile, "utf8")) : undefined
    if (owner !== undefined && isAlive(owner)) throw new Error(`lab ${name} is process ${owner.pid}'s`)
    await takeDown(readMachines())
    mkdirSync(base, { recursive: true })
    writeFileSync(ownerFile, JSON.stringify(identityOf(process.pid)))
  }

  /** The service's one running container on a machine; empty where none runs. */
  async function containerOn(at: Machine, service: string): Promise<string> {
    const found = await containersOf(engineOf(at.name), service)
    return found.find(({ State }) => State === "running")?.Id ?? ""
  }

  return {
    open: async (): Promise<void> => {
      await removeLeftBehind()
      site = await openSite("troupe", 3, 1)
    },
    close: async (): Promise<void> => site?.close(),
    machines,
    machine,
    engine,
    containerOn,
    /** The manager's API. */
    door: (): string => socketOf(machine(0).name),
    /** In the machine's network, as its administrator. */
    on: ({ name: of }: Machine, ...command: ReadonlyArray<string>): string =>
      execFileSync("nsenter", [`--net=/run/netns/${namespaceOf(of)}`, ...command], { encoding: "utf8" }),
    /** In the service's container there. */
    inside: async (service: string, at: Machine, ...command: ReadonlyArray<string>) =>
      docker(engine(at), ["exec", await containerOn(at, service), ...command])
  }
}
