/**
 * A cluster of several managers on this machine, each a daemon of its own with its own nats-server, on loopback and
 * without an Engine: tasks are processes. Managers are killed, frozen and started again at will.
 */
import { mkdtemp } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type ApiAnswer, Cluster, type ClusterOptions } from "#test/support/cluster.ts"
import { eventually } from "#test/support/engine.ts"

/** What a manager says of its own part in the Raft group; see `GET /raft`. */
export interface RaftView {
  readonly nodeId: string
  readonly role: string
  readonly term: number
  readonly leader?: string
  readonly commit: number
  readonly applied: number
  readonly digest: string
  /** Why it takes no part, or only some. */
  readonly problem?: string
  /** Absent in releases before 27 November 2026. */
  readonly featureLevel?: number
}

const loopback = "127.0.0.1"
/** Beyond loopback they show each other certificates. */
const at = (address: string): ReadonlyArray<string> => [
  "--executor",
  "process",
  ...["--listen-addr", address, "--advertise-addr", address]
]
/** Where nothing listens: whatever asked an Engine would fail. */
export const noEngine = "unix:///nonexistent/docker.sock"

export class Managers {
  /** The first one founded the cluster, the others joined at the same time. */
  readonly all: ReadonlyArray<Cluster>

  private constructor(all: ReadonlyArray<Cluster>) {
    this.all = all
  }

  /** `count` managers, each of them a voter of the group. `cleanUp` must follow. */
  static async start(
    count: number,
    options: Pick<ClusterOptions, "args" | "program"> & {
      readonly address?: string
      readonly release?: string
      /** Told of each manager before it is started. */
      readonly prepare?: (made: Cluster) => void
    } = {}
  ): Promise<Managers> {
    const made: Array<Cluster> = []
    const managers = new Managers(made)
    const prepared = <One extends Cluster>(one: One): One => {
      options.prepare?.(one)
      return options.release === undefined ? one : Object.assign(one, { release: options.release })
    }
    try {
      const founder = prepared(await newManager("m1", options.args ?? [], options.address, options.program))
      made.push(founder)
      await founder.restart()
      const { address, token } = await invitation(founder)
      for (let at = 2; at <= count; at++) {
        const args = [...(options.args ?? []), "--join", address, "--token", token]
        made.push(prepared(await newManager(`m${at}`, args, options.address, options.program)))
      }
      await Promise.all(made.slice(1).map((joining) => joining.restart()))
      await managers.settled()
      return managers
    } catch (error) {
      await managers.cleanUp()
      throw error
    }
  }

  /** Waits until every manager is a member that can be reached, as all of them say. */
  async settled(withinMs = 30_000): Promise<void> {
    for (const one of this.all) {
      await eventually(
        async () => {
          const { status, body } = await ask(one, "GET", "/nodes").catch(() => ({ status: 0, body: [] }))
          return (
            status === 200 &&
            body.length === this.all.length &&
            body.every((node: NodeView) => node.ManagerStatus?.Reachability === "reachable")
          )
        },
        `${this.all.length} managers are reachable, as ${one.nodeId} says`,
        withinMs
      )
    }
  }

  /** Who leads, as every manager of `among` says that answers, and more than half of all say. */
  async leader(among: ReadonlyArray<Cluster> = this.all, withinMs = 20_000): Promise<Cluster> {
    let found: Cluster | undefined
    await eventually(
      async () => {
        const views = await Promise.all(among.map((one) => raftOf(one).catch(() => undefined)))
        const at = views.findIndex((view) => view?.role === "leader")
        const leader = views[at]
        const followers = views.filter(
          (view) => view?.term === leader?.term && view?.leader === leader?.nodeId
        )
        if (leader === undefined || followers.length <= this.all.length / 2) return false
        found = among[at]
        return true
      },
      "one manager leads, and the others know it",
      withinMs
    )
    return found as Cluster
  }

  others(one: Cluster): ReadonlyArray<Cluster> {
    return this.all.filter((other) => other !== one)
  }

  /** Waits until all managers have applied the same entries, and fails where that gave different states. */
  async agreed(withinMs = 20_000): Promise<ReadonlyArray<RaftView>> {
    let views: ReadonlyArray<RaftView> = []
    await eventually(
      async () => {
        const said = await Promise.all(this.all.map((one) => raftOf(one).catch(() => undefined)))
        views = said.filter((view) => view !== undefined)
        return views.length === said.length && new Set(views.map(({ applied }) => applied)).size === 1
      },
      "all managers have applied the same entries",
      withinMs
    )
    if (new Set(views.map(({ digest }) => digest)).size !== 1)
      throw new Error(`The managers' states differ: ${JSON.stringify(views)}`)
    return views
  }

  async cleanUp(): Promise<void> {
    for (const one of this.all) one.signal("SIGCONT")
    await Promise.all(this.all.map((one) => one.cleanUp()))
  }
}

interface NodeView {
  readonly ManagerStatus?: { readonly Reachability: string; readonly Leader?: boolean }
}

/** A manager that is not started yet. */
export const newManager = async (
  name: string,
  args: ReadonlyArray<string>,
  address = loopback,
  program = "cli/main.ts"
): Promise<Cluster> =>
  new Cluster(await mkdtemp(join(tmpdir(), "troupe-manager-")), {
    name,
    program,
    dockerHost: noEngine,
    args: [...at(address), ...args]
  })

/** What another manager needs to join by way of this one. */
export async function invitation(
  manager: Cluster
): Promise<{ readonly address: string; readonly token: string }> {
  const [{ JoinTokens }, { ManagerStatus }] = await Promise.all([
    manager.get("/swarm"),
    manager.get(`/nodes/${manager.nodeId}`)
  ])
  return { address: ManagerStatus.Addr, token: JoinTokens.Manager }
}

/** A request that ends within `withinMs`, one way or the other. */
export const ask = (
  manager: Cluster,
  method: string,
  path: string,
  body?: unknown,
  withinMs = 5_000
): Promise<ApiAnswer> => manager.api(method, path, body, {}, AbortSignal.timeout(withinMs))

/** Of this manager alone; also where nobody leads. */
export async function raftOf(manager: Cluster): Promise<RaftView> {
  const { status, body } = await ask(manager, "GET", "/raft", undefined, 2_000)
  if (status !== 200) throw new Error(`GET /raft answered ${status}: ${JSON.stringify(body)}`)
  return body
}

/** Writes a config of that name; the answer, whatever it is. */
export const writeConfig = (manager: Cluster, name: string, withinMs = 15_000): Promise<ApiAnswer> =>
  ask(manager, "POST", "/configs/create", { Name: name, Data: "eA==" }, withinMs)

/** Writes a config of that name, again for as long as nobody leads or takes it: busy machines have slow elections. */
export const mustWriteConfig = (manager: Cluster, name: string): Promise<void> =>
  eventually(
    async () => {
      const { status, body } = await writeConfig(manager, name).catch(() => ({ status: 0, body: {} }))
      if (status === 400) throw new Error(body.message)
      // Already there: the one before was taken, and only its answer was lost.
      return status === 201 || status === 409
    },
    `config ${name} is written`,
    60_000
  )

/** The names of all configs, as this manager says. */
export const configNames = async (manager: Cluster): Promise<ReadonlyArray<string>> =>
  (await manager.get("/configs")).map(({ Spec }: { readonly Spec: { readonly Name: string } }) => Spec.Name)

/** As people do it, who try again when the node has said something of itself between the CLI's look and its word, or nobody leads. */
export const changeRole = (by: Cluster, word: "promote" | "demote", name: string): Promise<void> =>
  eventually(
    async () => {
      const { code, stderr } = await by.docker("node", word, name)
      if (code !== 0 && !/update out of sequence|does not have a leader/.test(stderr)) throw new Error(stderr)
      return code === 0
    },
    `${name} is told to ${word}`,
    30_000
  )
