/** The cases of `docker service logs`. */
import type { Bench, Case } from "#test/conformance/case.ts"
import { create, expectThat, ownOf } from "#test/conformance/service-case.ts"

const logs = ownOf("service logs")

/** It says `one`, `two`, `three` and then nothing. */
const talker = ["sh", "-c", "echo one; echo two; echo three; trap exit TERM INT; sleep 100000 & wait"]

async function spoken(bench: Bench, ...args: ReadonlyArray<string>): Promise<string> {
  await create(bench, args, talker)
  const all = () => bench.docker("service", "logs", "--raw", bench.name)
  return await bench.until(all, (seen) => seen === "one\ntwo\nthree")
}

const taskOf = async (bench: Bench): Promise<string> =>
  (await bench.container()).Config.Labels["com.docker.swarm.task.id"]

const said = (bench: Bench, ...args: ReadonlyArray<string>): Promise<string> =>
  bench.docker("service", "logs", ...args, bench.name)

/** The name of the node as lines tell it. */
const hostname = (bench: Bench): Promise<string> =>
  bench.docker("node", "inspect", "self", "--format", "{{.Description.Hostname}}")

export const serviceLogs: ReadonlyArray<Case> = [
  logs("--raw", "only the lines themselves are printed", (bench) => spoken(bench)),
  logs("--tail", "only the last lines are printed", async (bench) => {
    await spoken(bench)
    const last = await said(bench, "--raw", "--tail", "1")
    expectThat(last === "three", last)
  }),
  logs("--since", "what was said before is not printed", async (bench) => {
    await spoken(bench)
    const { Created } = await bench.container()
    const all = await said(bench, "--raw", "--since", Created)
    expectThat(all === "one\ntwo\nthree", all)
    const after = new Date(Date.parse(Created) + 3_600_000).toISOString()
    const none = await said(bench, "--raw", "--since", after)
    expectThat(none === "", none)
  }),
  logs("--timestamps", "each line begins with the time the Engine has for it", async (bench) => {
    await spoken(bench)
    const [line = ""] = (await said(bench, "--raw", "--timestamps")).split("\n")
    const { Id } = await bench.container()
    const engine = await bench.target.engine
      .getContainer(Id)
      .logs({ stdout: true, timestamps: true, tail: 3 })
    expectThat(String(engine).includes(line), line)
    return line.replace(/^\S+Z /, "TIME ")
  }),
  logs("--details", "each line tells the service, the task and the node it comes from", async (bench) => {
    await spoken(bench)
    const [line = ""] = (await said(bench, "--raw", "--details")).split("\n")
    expectThat(line.includes(`com.docker.swarm.task.id=${await taskOf(bench)}`), line)
    return [...line.matchAll(/([\w.]+)=/g)].map(([, name]) => name)
  }),
  logs(
    "--follow",
    "lines that come later are printed as they come, until the task is gone",
    async (bench) => {
      const later = ["sh", "-c", "echo first; until [ -e /now ]; do sleep 0.1; done; echo later; sleep 1000"]
      await create(bench, ["--stop-grace-period", "0s"], later)
      await bench.until(
        () => said(bench, "--raw"),
        (seen) => seen === "first"
      )
      const following = bench.attempt("service", "logs", "--raw", "--follow", bench.name)
      await bench.inside("touch /now")
      await bench.until(
        () => said(bench, "--raw"),
        (seen) => seen === "first\nlater"
      )
      await bench.docker("service", "rm", bench.name)
      const heard = await following
      expectThat(heard.said.startsWith("first\nlater"), heard)
    }
  ),
  logs("--no-resolve", "lines tell the service and the node by their ids", async (bench) => {
    await spoken(bench)
    const [line = ""] = (await said(bench, "--no-resolve", "--no-trunc")).split("\n")
    const node = await bench.docker("info", "--format", "{{.Swarm.NodeID}}")
    const id = await bench.docker("service", "inspect", bench.name, "--format", "{{.ID}}")
    expectThat(line.startsWith(`${id}.1.${await taskOf(bench)}@${node} `), line)
  }),
  logs("--no-task-ids", "lines tell the slot alone", async (bench) => {
    await spoken(bench)
    const [line = ""] = (await said(bench, "--no-task-ids")).split("\n")
    expectThat(line.startsWith(`${bench.name}.1@${await hostname(bench)} `) && line.endsWith("| one"), line)
  }),
  logs("--no-trunc", "lines tell the whole id of the task", async (bench) => {
    await spoken(bench)
    const [line = ""] = (await said(bench, "--no-trunc")).split("\n")
    expectThat(line.startsWith(`${bench.name}.1.${await taskOf(bench)}@`), line)
  })
]
