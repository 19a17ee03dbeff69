/** Clusters of a case's own: of one node, or of two. */
import type { Bench, BenchMachine } from "#test/conformance/case.ts"

/** A cluster on that node, which listens on loopback. */
export const begin = ({ docker, address }: BenchMachine, ...args: ReadonlyArray<string>): Promise<string> =>
  docker("swarm", "init", "--listen-addr", address, "--advertise-addr", address, ...args)

/** `other` joins; its id. */
export async function join(
  manager: BenchMachine,
  other: BenchMachine,
  role: "worker" | "manager",
  ...args: ReadonlyArray<string>
): Promise<string> {
  const token = await manager.docker("swarm", "join-token", "-q", role)
  const place = ["--listen-addr", other.address, "--advertise-addr", other.address]
  await other.docker("swarm", "join", ...place, "--token", token, ...args, manager.address)
  return other.docker("info", "--format", "{{.Swarm.NodeID}}")
}

/** A manager, a node that joined it as `role`, and that one's id; both are ready. */
export async function pair(
  bench: Bench,
  role: "worker" | "manager"
): Promise<readonly [BenchMachine, BenchMachine, string]> {
  const [manager, other] = await Promise.all([bench.machine(), bench.machine()])
  await begin(manager)
  const id = await join(manager, other, role)
  await bench.until(
    () => manager.docker("node", "ls", "--format", "{{.Status}}"),
    (seen) => seen === "Ready\nReady"
  )
  return [manager, other, id]
}

// biome-ignore lint/suspicious/noExplicitAny: the API's own cluster
export const clusterOf = async (machine: BenchMachine): Promise<any> =>
  (await machine.json("info", "--format", "{{json .Swarm}}")).Cluster
