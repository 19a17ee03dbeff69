/** The cases of `docker node`. */
import type { Bench, BenchMachine, Case, Client } from "#test/conformance/case.ts"
import { create, errors, expectThat, ownOf, running, runs } from "#test/conformance/service-case.ts"
import { begin, join, pair } from "#test/conformance/swarm-case.ts"

const nodeId = (bench: Bench): Promise<string> => bench.docker("info", "--format", "{{.Swarm.NodeID}}")
const hostname = (bench: Bench): Promise<string> =>
  bench.docker("node", "inspect", "self", "--format", "{{.Description.Hostname}}")

const ls = ownOf("node ls")
const inspect = ownOf("node inspect")
const ps = ownOf("node ps")
const update = ownOf("node update")

/** The service's tasks on the node, as `node ps` tells them. */
const tasks = (bench: Bench, ...args: ReadonlyArray<string>): Promise<string> =>
  bench.docker("node", "ps", "--filter", `name=${bench.name}`, ...args)
const one = async (bench: Bench): Promise<void> => {
  await create(bench)
  await runs(bench)
}

/** What a manager says of another node's part: `reachable`, or nothing of a worker. */
const reachability = (manager: BenchMachine, id: string): Promise<string> =>
  manager.docker("node", "inspect", id, "--format", "{{with .ManagerStatus}}{{.Reachability}}{{end}}")

/** Another node, and whether it may be asked about the cluster itself. */
const isManager = async (machine: BenchMachine): Promise<boolean> =>
  (await machine.attempt("node", "ls")).code === 0

const becomesManager = async (bench: Bench, manager: BenchMachine, other: BenchMachine, id: string) => {
  await bench.until(
    () => reachability(manager, id),
    (seen) => seen === "reachable"
  )
  await bench.until(
    () => isManager(other),
    (seen) => seen
  )
}
const becomesWorker = async (bench: Bench, manager: BenchMachine, other: BenchMachine, id: string) => {
  await bench.until(
    () => reachability(manager, id),
    (seen) => seen === ""
  )
  await bench.until(
    () => isManager(other),
    (seen) => !seen
  )
}

/** `docker node update`, again where another case, or the node itself, has changed it meanwhile. */
const change = (bench: Bench, { attempt }: Client, ...args: ReadonlyArray<string>) =>
  bench.until(
    () => attempt("node", "update", ...args),
    ({ code }) => code === 0
  )

const all: ReadonlyArray<Case> = [
  ls("--filter", "only what has the role and the label is listed", async (bench) => {
    const id = await nodeId(bench)
    await change(bench, bench, "--label-add", `${bench.name}=yes`, id)
    const listed = (filter: string) => bench.docker("node", "ls", "-q", "--filter", filter)
    expectThat((await listed("role=manager")) === id, await listed("role=manager"))
    expectThat((await listed("role=worker")) === "", await listed("role=worker"))
    expectThat((await listed(`node.label=${bench.name}=yes`)) === id, "label")
    expectThat((await listed(`node.label=${bench.name}=no`)) === "", "label")
    return true
  }),
  ls("--format", "the template is filled in", (bench) =>
    bench.docker("node", "ls", "--format", "{{.Status}} {{.Availability}} {{.ManagerStatus}} {{.Self}}")
  ),
  ls("--quiet", "only the id is printed", async (bench) => {
    const said = await bench.docker("node", "ls", "--quiet")
    expectThat(said === (await nodeId(bench)), said)
  }),
  inspect("--format", "the template is filled in", async (bench) => {
    const said = await bench.docker("node", "inspect", "self", "--format", "{{.ID}} {{.Spec.Role}}")
    expectThat(said === `${await nodeId(bench)} manager`, said)
  }),
  inspect("--pretty", "people read what the node has", async (bench) => {
    const said = await bench.docker("node", "inspect", "--pretty", "self")
    const { NCPU } = await bench.target.engine.info()
    expectThat(said.includes(`CPUs:\t\t\t${NCPU}`) || said.includes(`CPUs: ${NCPU}`), said)
    // Of a certificate nothing is alike.
    const named = said.split("\n").filter((line) => line.includes(":"))
    return named.map((line) => line.split(":")[0]?.trim())
  }),
  ps("--filter", "only tasks of that name are listed", async (bench) => {
    await one(bench)
    const said = await tasks(bench, "--filter", "desired-state=running", "--format", "{{.Name}}")
    expectThat(said === `${bench.name}.1`, said)
    const other = await bench.docker("node", "ps", "--filter", "name=nobody", "-q")
    expectThat(other === "", other)
  }),
  ps("--format", "the template is filled in", async (bench) => {
    await one(bench)
    const [state, where] = (await tasks(bench, "--format", "{{.CurrentState}}|{{.Node}}")).split("|")
    expectThat(state?.startsWith("Running") === true && where === (await hostname(bench)), [state, where])
  }),
  ps("--no-resolve", "the node is told by its id", async (bench) => {
    await one(bench)
    const said = await tasks(bench, "--no-resolve", "--format", "{{.Node}}")
    expectThat(said === (await nodeId(bench)), said)
  }),
  ps("--no-trunc", "the id is whole, and is the one that the container carries", async (bench) => {
    await one(bench)
    const said = await tasks(bench, "--no-trunc", "--format", "{{.ID}}")
    expectThat(said === (await bench.container()).Config.Labels["com.docker.swarm.task.id"], said)
  }),
  ps("--quiet", "only the id is printed", async (bench) => {
    await one(bench)
    const said = await tasks(bench, "--quiet")
    const id = (await bench.container()).Config.Labels["com.docker.swarm.task.id"]
    expectThat(said.length >= 12 && id.startsWith(said), said)
  }),
  update("--label-add", "a service that asks for the label runs", async (bench) => {
    await create(bench, ["--constraint", `node.labels.${bench.name}==yes`])
    await bench.until(
      () => errors(bench),
      (seen) => seen.length === 1
    )
    await change(bench, bench, "--label-add", `${bench.name}=yes`, await nodeId(bench))
    await runs(bench)
  }),
  update("--label-rm", "a service that asks for the label runs no longer", async (bench) => {
    await change(bench, bench, "--label-add", `${bench.name}=yes`, await nodeId(bench))
    await create(bench, ["--constraint", `node.labels.${bench.name}==yes`])
    await runs(bench)
    await change(bench, bench, "--label-rm", bench.name, await nodeId(bench))
    await bench.until(
      () => running(bench),
      (seen) => seen === 0
    )
  }),
  update(
    "--availability",
    "a paused node gets nothing new, a drained one ends what it runs",
    async (bench) => {
      const machine = await bench.machine()
      await begin(machine)
      const id = await machine.docker("info", "--format", "{{.Swarm.NodeID}}")
      await change(bench, machine, "--availability", "pause", id)
      await machine.docker("service", "create", "-d", "--name", "a", "none:1")
      const error = () => machine.docker("service", "ps", "a", "--no-trunc", "--format", "{{.Error}}")
      const seen = await bench.until(error, (text) => text.includes("no suitable node"))
      await change(bench, machine, "--availability", "active", id)
      const placed = () => machine.docker("service", "ps", "a", "-q", "--filter", "node=self")
      await bench.until(placed, (ids) => ids !== "")
      await change(bench, machine, "--availability", "drain", id)
      const wanted = () =>
        machine.docker(
          "service",
          "ps",
          "a",
          "-q",
          "--filter",
          "node=self",
          "--filter",
          "desired-state=running"
        )
      await bench.until(wanted, (ids) => ids === "")
      return seen
    }
  ),
  update("--role", "the worker is a manager that answers itself, and a worker again", async (bench) => {
    const [manager, other, id] = await pair(bench, "worker")
    await change(bench, manager, "--role", "manager", id)
    await becomesManager(bench, manager, other, id)
    await change(bench, manager, "--role", "worker", id)
    await becomesWorker(bench, manager, other, id)
  }),
  {
    command: "node promote",
    flags: [],
    says: "the worker is a manager that answers itself",
    run: async (bench) => {
      const [manager, other, id] = await pair(bench, "worker")
      const said = await manager.docker("node", "promote", id)
      await becomesManager(bench, manager, other, id)
      return said.replace(id, "ID")
    }
  },
  {
    command: "node demote",
    flags: [],
    says: "the manager is a worker that knows nothing of the cluster",
    run: async (bench) => {
      const [manager, other, id] = await pair(bench, "manager")
      await becomesManager(bench, manager, other, id)
      const said = await manager.docker("node", "demote", id)
      await becomesWorker(bench, manager, other, id)
      return said.replace(id, "ID")
    }
  },
  ownOf("node rm")(
    "--force",
    "a node that is up is refused, goes with it, and joins again",
    async (bench) => {
      const [manager, other, id] = await pair(bench, "worker")
      const refused = await manager.attempt("node", "rm", id)
      expectThat(refused.code === 1 && refused.said.includes("is not down and can't be removed"), refused)
      await manager.docker("node", "rm", "--force", id)
      expectThat(!(await manager.docker("node", "ls", "-q")).includes(id), id)
      await other.docker("swarm", "leave", "--force")
      await join(manager, other, "worker")
      return refused.said.replaceAll(id, "ID")
    }
  )
]

/** Roles and availability are tried on other nodes than the one that the rest runs on. */
const isApart = ({ command, flags }: Case): boolean =>
  /promote|demote|rm/.test(command) || flags.some((flag) => flag === "--availability" || flag === "--role")

export const node: ReadonlyArray<Case> = all.map((one) => (isApart(one) ? { ...one, apart: true } : one))
