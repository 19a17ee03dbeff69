/** The cases of the commands of `docker service` that list, show, scale and undo; logs are a file of their own. */
import type { Bench, Case } from "#test/conformance/case.ts"
import { create, expectThat, ownOf, running, runs, update } from "#test/conformance/service-case.ts"

const inspect = ownOf("service inspect")
const ls = ownOf("service ls")
const ps = ownOf("service ps")
const rollback = ownOf("service rollback")

const one = async (bench: Bench): Promise<void> => {
  await create(bench)
  await runs(bench)
}
const tasks = (bench: Bench, ...args: ReadonlyArray<string>): Promise<string> =>
  bench.docker("service", "ps", ...args, bench.name)
const taskOf = async (bench: Bench): Promise<string> =>
  (await bench.container()).Config.Labels["com.docker.swarm.task.id"]

const colour = (bench: Bench, wanted: string): Promise<string> =>
  bench.until(
    () => bench.inside("echo $COLOUR"),
    (seen) => seen === wanted
  )

/** A service that was blue and is red. */
const repainted = async (bench: Bench): Promise<void> => {
  await create(bench, ["--env", "COLOUR=blue", "--rollback-monitor", "1s"])
  await colour(bench, "blue")
  await update(bench, "--env-add", "COLOUR=red")
  await colour(bench, "red")
}

export const serviceOthers: ReadonlyArray<Case> = [
  inspect("--format", "the template is filled in", async (bench) => {
    const id = await create(bench)
    const said = await bench.docker("service", "inspect", bench.name, "--format", "{{.ID}} {{.Spec.Name}}")
    expectThat(said === `${id} ${bench.name}`, said)
  }),
  inspect("--pretty", "people read what the service has", async (bench) => {
    await create(bench, ["--env", "COLOUR=blue", "--update-delay", "3s", "--limit-memory", "32m"])
    const said = await bench.docker("service", "inspect", "--pretty", bench.name)
    expectThat(said.includes("COLOUR=blue") && said.includes("Delay:\t\t3s"), said)
    return said.split("\n").map((line) => line.split(":")[0]?.trim())
  }),
  ls("--filter", "only what has the name, the id, the label and the mode is listed", async (bench) => {
    const id = await create(bench, ["--label", `${bench.name}=yes`])
    const listed = (...filters: ReadonlyArray<string>) =>
      bench.docker("service", "ls", "-q", "--no-trunc", ...filters.flatMap((filter) => ["--filter", filter]))
    const whole = async (...filters: ReadonlyArray<string>) =>
      await listed(...filters).catch(() =>
        bench.docker("service", "ls", "-q", ...filters.flatMap((filter) => ["--filter", filter]))
      )
    const mine = `name=${bench.name}`
    for (const filter of [mine, `id=${id}`, `label=${bench.name}`, `label=${bench.name}=yes`])
      expectThat(id.startsWith((await whole(filter)) || "-"), filter)
    expectThat((await whole(mine, "mode=replicated")) !== "", "mode=replicated")
    for (const filter of ["mode=global", "id=nobody", "label=nobody", `label=${bench.name}=no`])
      expectThat((await whole(mine, filter)) === "", filter)
  }),
  ls("--format", "the template is filled in, with the number of containers that run", async (bench) => {
    await create(bench, ["--replicas", "2"])
    const filled = () =>
      bench.docker("service", "ls", "--filter", `name=${bench.name}`, "--format", "{{.Mode}} {{.Replicas}}")
    const seen = await bench.until(filled, (text) => text === "replicated 2/2")
    expectThat((await running(bench)) === 2, "two containers")
    return seen
  }),
  ls("--quiet", "only the id is printed", async (bench) => {
    const id = await create(bench)
    const said = await bench.docker("service", "ls", "--filter", `name=${bench.name}`, "--quiet")
    expectThat(said.length >= 12 && id.startsWith(said), said)
  }),
  ps("--filter", "only tasks of the name, the node and the wanted state are listed", async (bench) => {
    await one(bench)
    const id = await taskOf(bench)
    const listed = (filter: string) => tasks(bench, "-q", "--no-trunc", "--filter", filter)
    for (const filter of [`id=${id}`, `name=${bench.name}.1`, "node=self", "desired-state=running"])
      expectThat((await listed(filter)) === id, filter)
    for (const filter of ["id=nobody", "name=nobody", "node=nobody", "desired-state=shutdown"])
      expectThat((await listed(filter).catch(() => "")) === "", filter)
  }),
  ps("--format", "the template is filled in", async (bench) => {
    await one(bench)
    const said = await tasks(bench, "--format", "{{.Name}} {{.DesiredState}}")
    expectThat(said === `${bench.name}.1 Running`, said)
  }),
  ps("--no-resolve", "service and node are told by their ids", async (bench) => {
    const id = await create(bench)
    await runs(bench)
    const said = await tasks(bench, "--no-resolve", "--no-trunc", "--format", "{{.Name}} {{.Node}}")
    const node = await bench.docker("info", "--format", "{{.Swarm.NodeID}}")
    expectThat(said === `${id}.1 ${node}`, said)
  }),
  ps("--no-trunc", "the id is whole, and is the one that the container carries", async (bench) => {
    await one(bench)
    const said = await tasks(bench, "--no-trunc", "--format", "{{.ID}}")
    expectThat(said === (await taskOf(bench)), said)
  }),
  ps("--quiet", "only the id is printed", async (bench) => {
    await one(bench)
    const said = await tasks(bench, "--quiet")
    expectThat(said.length >= 12 && (await taskOf(bench)).startsWith(said), said)
  }),
  {
    command: "service rm",
    flags: [],
    says: "no container of it runs, and it is not listed",
    run: async (bench) => {
      await one(bench)
      const said = await bench.docker("service", "rm", bench.name)
      expectThat(said === bench.name, said)
      await bench.until(
        () => running(bench),
        (seen) => seen === 0
      )
      const again = await bench.attempt("service", "rm", bench.name)
      return [again.code, again.said.replaceAll(bench.name, "NAME")]
    }
  },
  rollback("--detach", "the command ends at once, and what ran before runs again", async (bench) => {
    await repainted(bench)
    const said = await bench.docker("service", "rollback", "--detach", bench.name)
    await colour(bench, "blue")
    return said.replaceAll(bench.name, "NAME")
  }),
  rollback("--quiet", "the command waits, prints the name, and what ran before runs again", async (bench) => {
    await repainted(bench)
    const said = await bench.docker("service", "rollback", "--quiet", bench.name)
    expectThat((await bench.inside("echo $COLOUR")) === "blue", "the colour")
    return said.replaceAll(bench.name, "NAME")
  }),
  ownOf("service scale")(
    "--detach",
    "the command ends at once, and so many containers run",
    async (bench) => {
      await create(bench)
      const said = await bench.docker("service", "scale", "--detach", `${bench.name}=3`)
      await bench.until(
        () => running(bench),
        (seen) => seen === 3
      )
      return said.replaceAll(bench.name, "NAME")
    }
  )
]
