/** What befalls one machine of the lab at a time, so that the managers keep their majority; each is taken back. */
import type { Fresh } from "#runtime/ids.ts"
import { call, type NodeView } from "#test/bench/vs-swarm/api.ts"
import type { Site } from "#test/bench/vs-swarm/site.ts"
import type { Machine } from "#test/lab/machines.ts"
import { cut, heal } from "#test/lab/network.ts"
import { freeze, kill, thaw } from "#test/lab/power.ts"
import { signal } from "#test/lab/processes.ts"
import { startAgain } from "#test/lab/raise.ts"

export interface Fault {
  readonly kind: string
  readonly machine: Machine
  readonly begin: () => Promise<void>
  readonly end: () => Promise<void>
}

type Deed = (machine: Machine, site: Site) => Promise<void> | void
interface Kind {
  readonly kind: string
  readonly begin: Deed
  readonly end: Deed
}

const kinds: ReadonlyArray<Kind> = [
  { kind: "loss of power", begin: kill, end: startAgain },
  { kind: "kill -9 of the node", begin: killNode, end: startAgain },
  { kind: "cut", begin: cut, end: heal },
  { kind: "freeze of the Engine", begin: (machine) => freeze(machine, "engine"), end: thaw },
  { kind: "freeze of the node", begin: (machine) => freeze(machine, "node"), end: thaw },
  { kind: "freeze of the machine", begin: (machine) => freeze(machine, "machine"), end: thaw },
  {
    kind: "drain",
    begin: (machine, site) => setAvailability(site, machine, "drain"),
    end: (machine, site) => setAvailability(site, machine, "active")
  }
]

/** Its id is forgotten: seconds later it may be another process's, and the node would be taken for one that runs. */
function killNode(machine: Machine): void {
  signal(machine.nodePid, "SIGKILL")
  machine.nodePid = 0
}

/** Some fault of some machine. */
export function draw(chance: Fresh, site: Site): Fault {
  const machine = site.machines[chance.below(site.machines.length)] as Machine
  const { kind, begin, end } = kinds[chance.below(kinds.length)] as Kind
  return { kind, machine, begin: async () => begin(machine, site), end: async () => end(machine, site) }
}

/** Asks one manager after the other, again for as long as none accepts it. */
async function setAvailability(site: Site, { name }: Machine, availability: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    const door = site.doors()[tries % site.doors().length] as string
    try {
      const nodes = await call<ReadonlyArray<Described>>(door, "GET", "/nodes", undefined, 5_000)
      const node = nodes.find(({ Description }) => Description.Hostname === name)
      if (node === undefined) throw new Error(`no node is called ${name}`)
      const spec = { ...node.Spec, Availability: availability }
      await call(door, "POST", `/nodes/${node.ID}/update?version=${node.Version.Index}`, spec, 5_000)
      return
    } catch (error) {
      if (tries === 30) throw error
      await new Promise((resolve) => setTimeout(resolve, 500))
    }
  }
}

interface Described extends NodeView {
  readonly Version: { readonly Index: number }
  readonly Spec: object
}
