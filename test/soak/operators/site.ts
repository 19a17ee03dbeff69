/** Nodes without an Engine, on loopback, and what is asked of them by whoever looks after them. */
import { Fresh } from "#runtime/ids.ts"
import type { Cluster } from "#test/support/cluster.ts"
import { onLoopback, startIdle } from "#test/support/idle-node.ts"

export interface Listed {
  readonly ID: string
  readonly Spec: {
    readonly Role: string
    readonly Availability: string
    readonly Labels?: Readonly<Record<string, string>>
  }
  readonly Description: { readonly Hostname: string }
  readonly Status: { readonly State: string; readonly Message?: string }
  readonly ManagerStatus?: { readonly Reachability: string }
}

/** Of a service whose order was acknowledged. */
export interface Wanted {
  /** Absent where each node is to have one. */
  readonly replicas: number | undefined
  /** Its tasks sleep so long, as no other service's do. */
  readonly seconds: string
}

export interface Site {
  readonly nodes: ReadonlyArray<Cluster>
  readonly nameOf: (node: Cluster) => string
  /** Daemons that do not run at the moment. */
  readonly down: Set<Cluster>
  /** By name. */
  readonly services: Map<string, Wanted>
  /** Each that a locked disk was ever opened by, the newest last. */
  readonly keys: Array<string>
  /** Done while other orders are given; `quiet` once all of it is. */
  readonly meanwhile: (work: () => Promise<void>) => void
  readonly quiet: () => Promise<void>
  /** What was refused, without what is different each time, and how often. */
  readonly refused: Map<string, number>
  readonly chance: Fresh
  /** The docker CLI at that node; what it printed, or nothing where it was refused. */
  readonly docker: (node: Cluster, ...args: ReadonlyArray<string>) => Promise<string | undefined>
  readonly close: () => Promise<unknown>
}

/** The first of them has founded a cluster; the others wait for orders. */
export async function openSite(count: number, seed: number): Promise<Site> {
  const names = Array.from({ length: count }, (_, at) => `n${at + 1}`)
  const nodes: Array<Cluster> = []
  const close = () => Promise.all(nodes.map((node) => node.cleanUp()))
  try {
    for (const name of names) nodes.push(await startIdle(name))
    await nodes[0]?.must("swarm", "init", ...onLoopback)
  } catch (error) {
    await close()
    throw error
  }
  const refused = new Map<string, number>()
  let under: Promise<unknown> = Promise.resolve()
  return {
    nodes,
    nameOf: (node) => names[nodes.indexOf(node)] ?? "nobody",
    down: new Set(),
    services: new Map(),
    keys: [],
    meanwhile: (work) => {
      under = Promise.all([under, work()])
    },
    quiet: async () => {
      await under
    },
    refused,
    chance: Fresh.from(seed),
    docker: async (node, ...args) => {
      const { code, text, stderr } = await node.cli(args, { withinMs: 60_000 })
      if (code === 0) return text
      const why = code === null ? "no end within a minute" : stderr.trim()
      const told = why.replaceAll(/[a-z0-9]{25}/g, "ID").replaceAll(/[\d.]+:\d+/g, "ADDRESS")
      const key = `docker ${args.slice(0, 2).join(" ")}: ${told}`
      refused.set(key, (refused.get(key) ?? 0) + 1)
      return undefined
    },
    close
  }
}

export const swarmOf = async (node: Cluster) => (await node.get("/info")).Swarm
export const listed = (by: Cluster): Promise<ReadonlyArray<Listed>> => by.get("/nodes")
export const raftOf = async (node: Cluster) => (await node.api("GET", "/raft")).body

/** Those that take themselves for managers. */
export async function managersOf({ nodes, down }: Site): Promise<ReadonlyArray<Cluster>> {
  const manages = async (node: Cluster): Promise<boolean> => {
    if (down.has(node)) return false
    const swarm = await swarmOf(node).catch(() => undefined)
    return swarm?.LocalNodeState === "active" && swarm.ControlAvailable
  }
  const are = await Promise.all(nodes.map(manages))
  return nodes.filter((_, at) => are[at])
}
