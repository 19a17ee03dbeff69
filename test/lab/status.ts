/** What `lab status` shows of each machine: what runs, and what it says of itself. */
import { table } from "#cli/print/table.ts"
import { apiOf, engineOf, type Machine, socketOf } from "#test/lab/machines.ts"
import { isConnected } from "#test/lab/network.ts"
import { isAlive, isFrozen } from "#test/lab/processes.ts"
import { request } from "#test/lab/request.ts"

type Json = Readonly<Record<string, unknown>>

const askWithinMs = 2_000

const ask = (socket: string, path: string): Promise<Json> =>
  request(socket, "GET", path, undefined, askWithinMs).then(
    ({ status, body }) => (status === 200 ? body : {}),
    () => ({})
  )

const stateOf = (pid: number): string => {
  if (isFrozen(pid)) return "frozen"
  return isAlive(pid) ? "up" : "down"
}

interface Column {
  readonly head: string
  readonly of: (machine: Machine, said: { readonly raft: Json; readonly info: Json }) => unknown
}

const common: ReadonlyArray<Column> = [
  { head: "MACHINE", of: ({ name }) => name },
  { head: "ADDRESS", of: ({ address }) => address },
  { head: "LINK", of: (machine) => (isConnected(machine) ? "up" : "cut") },
  { head: "ENGINE", of: ({ hasEngine, enginePid }) => (hasEngine ? stateOf(enginePid) : "none") },
  { head: "CONTAINERS", of: (_, { info }) => info.ContainersRunning },
  { head: "MEMBER", of: ({ role }) => role }
]
const troupe: ReadonlyArray<Column> = [
  { head: "NODE", of: ({ nodePid }) => stateOf(nodePid) },
  ...["role", "term", "commit", "applied", "digest"].map(
    (field): Column => ({ head: field.toUpperCase(), of: (_, { raft }) => raft[field] })
  )
]
const swarm: ReadonlyArray<Column> = [
  { head: "STATE", of: (_, { info }) => (info.Swarm as Json | undefined)?.LocalNodeState }
]
const last: ReadonlyArray<Column> = [{ head: "SOCKET", of: (machine) => `unix://${apiOf(machine)}` }]

export async function status(machines: ReadonlyArray<Machine>): Promise<string> {
  const isSwarm = machines[0]?.orchestrator === "swarm"
  const columns = [...common, ...(isSwarm ? swarm : troupe), ...last]
  const rows = await Promise.all(
    machines.map(async (machine) => {
      const { name, role, hasEngine } = machine
      const [raft, info] = await Promise.all([
        isSwarm || role === "worker" ? {} : ask(socketOf(name), "/raft"),
        hasEngine ? ask(engineOf(name), "/info") : {}
      ])
      return columns.map(({ of }) => String(of(machine, { raft, info }) ?? ""))
    })
  )
  return table(
    columns.map(({ head }) => head),
    rows
  )
}
