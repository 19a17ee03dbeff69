/** The cases of `docker stack`. */
import { writeFile } from "node:fs/promises"
import type { Bench, Case } from "#test/conformance/case.ts"
import { expectThat, idle, ownOf } from "#test/conformance/service-case.ts"
import { testImage } from "#test/support/engine.ts"

const config = ownOf("stack config")
const deploy = ownOf("stack deploy")
const ps = ownOf("stack ps")
const services = ownOf("stack services")

/** A variable as Compose files write it, `a` where it is not set. */
const zone = `\${ZONE:-a}`

/** A Compose file of services that idle; what more there is of each follows its name. */
async function composed(
  bench: Bench,
  told: Readonly<Record<string, object>>,
  name = "stack"
): Promise<string> {
  const path = `${bench.folder}/${bench.name}-${name}.yml`
  const all = Object.entries(told).map(([of, more]) => [of, { image: testImage, command: idle, ...more }])
  await writeFile(path, JSON.stringify({ version: "3.8", services: Object.fromEntries(all) }))
  return path
}

const up = async (bench: Bench, path: string, ...args: ReadonlyArray<string>): Promise<string> => {
  const said = await bench.docker("stack", "deploy", "-c", path, ...args, bench.name)
  bench.after(() => bench.attempt("stack", "rm", bench.name))
  return said
}

const names = async (bench: Bench): Promise<ReadonlyArray<string>> =>
  (await bench.docker("stack", "services", bench.name, "--format", "{{.Name}}")).split("\n").sort()

const web = ({ name }: Bench): string => `${name}_web`

/** A stack of one service that runs. */
async function one(bench: Bench, ...args: ReadonlyArray<string>): Promise<void> {
  await up(bench, await composed(bench, { web: {} }), ...args)
  await bench.until(
    () => bench.container(web(bench)),
    () => true
  )
}

/** `says` of what the CLI does with the flag, while the stack comes to run. */
const runsWith = (flag: string, args: ReadonlyArray<string>, says: string): Case =>
  deploy(flag, says, async (bench) => {
    await one(bench, ...args)
    return (await bench.json("service", "inspect", web(bench)))[0].Spec.TaskTemplate.ContainerSpec.Image
  })

/** Of releases before 23, where there was but Swarm left to choose. */
const orchestrated = (
  verb: string,
  args: (bench: Bench) => Promise<ReadonlyArray<string>> | ReadonlyArray<string>
): Case => ({
  ...ownOf(`stack ${verb}`)("--orchestrator", "of Swarm, it is the same as without", async (bench) => {
    const named = await args(bench)
    await bench.docker("stack", verb, "--orchestrator", "swarm", ...named)
  }),
  onlySome: true
})

const task = async (bench: Bench): Promise<string> =>
  (await bench.container(web(bench))).Config.Labels["com.docker.swarm.task.id"]
const tasks = (bench: Bench, ...args: ReadonlyArray<string>): Promise<string> =>
  bench.docker("stack", "ps", ...args, bench.name)

export const stack: ReadonlyArray<Case> = [
  {
    ...config("--compose-file", "both files are merged, and variables filled in", async (bench) => {
      const first = await composed(bench, { web: { environment: { COLOUR: "blue", ZONE: zone } } }, "first")
      const second = await composed(bench, { web: { hostname: "merged" } }, "second")
      const said = await bench.docker("stack", "config", "-c", first, "-c", second)
      expectThat(said.includes("hostname: merged") && said.includes("ZONE: a"), said)
    }),
    onlySome: true
  },
  {
    ...config("--skip-interpolation", "variables stay as they are written", async (bench) => {
      const path = await composed(bench, { web: { environment: { ZONE: zone } } })
      const said = await bench.docker("stack", "config", "-c", path, "--skip-interpolation")
      expectThat(said.includes(zone), said)
    }),
    onlySome: true
  },
  deploy("--compose-file", "the service of both files runs with what each says", async (bench) => {
    const first = await composed(bench, { web: { environment: { COLOUR: "blue" } } }, "first")
    const second = await composed(bench, { web: { environment: { ZONE: "a" } } }, "second")
    await up(bench, first, "--compose-file", second)
    await bench.until(
      () => bench.inside("echo $COLOUR $ZONE", web(bench)),
      (seen) => seen === "blue a"
    )
    const { Labels } = (await bench.container(web(bench))).Config
    expectThat(Labels["com.docker.stack.namespace"] === bench.name, Labels)
  }),
  {
    ...deploy("--detach", "with false the command waits until the service runs", async (bench) => {
      const path = await composed(bench, { web: { deploy: { update_config: { monitor: "1s" } } } })
      await up(bench, path, "--detach=false")
      expectThat((await bench.containers(web(bench))).length === 1, "no container")
    }),
    onlySome: true
  },
  {
    ...deploy("--quiet", "the command waits and tells no progress", async (bench) => {
      const path = await composed(bench, { web: { deploy: { update_config: { monitor: "1s" } } } })
      const said = await up(bench, path, "--detach=false", "--quiet")
      expectThat(!said.includes("verify") && !said.includes("converged"), said)
      expectThat((await bench.containers(web(bench))).length === 1, "no container")
      return said.replaceAll(bench.name, "NAME")
    }),
    onlySome: true
  },
  deploy("--prune", "the service that the file no longer names is gone", async (bench) => {
    await up(bench, await composed(bench, { web: {}, other: {} }))
    expectThat((await names(bench)).length === 2, "two services")
    const path = await composed(bench, { web: {} })
    await up(bench, path)
    expectThat((await names(bench)).length === 2, "two services still")
    await up(bench, path, "--prune")
    expectThat((await names(bench)).join() === web(bench), await names(bench))
    await bench.until(
      () => bench.containers(`${bench.name}_other`),
      (seen) => seen.length === 0
    )
  }),
  runsWith(
    "--resolve-image",
    ["--resolve-image", "never"],
    "never: no digest is asked for, and the image is as the file names it"
  ),
  runsWith(
    "--with-registry-auth",
    ["--with-registry-auth"],
    "the service runs, and no credentials are told again"
  ),
  orchestrated("deploy", async (bench) => {
    const path = await composed(bench, { web: {} })
    bench.after(() => bench.attempt("stack", "rm", bench.name))
    return ["-c", path, bench.name]
  }),
  ownOf("stack ls")("--format", "the template is filled in", async (bench) => {
    await up(bench, await composed(bench, { web: {}, other: {} }))
    const said = (await bench.docker("stack", "ls", "--format", "{{.Name}} {{.Services}}")).split("\n")
    expectThat(said.includes(`${bench.name} 2`), said)
  }),
  orchestrated("ls", () => []),
  ps("--filter", "only tasks of the name and the wanted state are listed", async (bench) => {
    await one(bench)
    const listed = (filter: string) => tasks(bench, "-q", "--no-trunc", "--filter", filter)
    for (const filter of [
      `name=${web(bench)}.1`,
      "desired-state=running",
      `node=${await bench.docker("info", "--format", "{{.Swarm.NodeID}}")}`
    ])
      expectThat((await listed(filter)) === (await task(bench)), filter)
    const other = await bench.attempt("stack", "ps", "-q", "--filter", "name=nobody", bench.name)
    return [other.code, other.said.replaceAll(bench.name, "NAME")]
  }),
  ps("--format", "the template is filled in", async (bench) => {
    await one(bench)
    const said = await tasks(bench, "--format", "{{.Name}} {{.DesiredState}}")
    expectThat(said === `${web(bench)}.1 Running`, said)
  }),
  ps("--no-resolve", "service and node are told by their ids", async (bench) => {
    await one(bench)
    const id = await bench.docker("service", "inspect", web(bench), "--format", "{{.ID}}")
    const said = await tasks(bench, "--no-resolve", "--no-trunc", "--format", "{{.Name}}")
    expectThat(said === `${id}.1`, said)
  }),
  ps("--no-trunc", "the id is whole, and is the one that the container carries", async (bench) => {
    await one(bench)
    const said = await tasks(bench, "--no-trunc", "--format", "{{.ID}}")
    expectThat(said === (await task(bench)), said)
  }),
  ps("--quiet", "only the id is printed", async (bench) => {
    await one(bench)
    const said = await tasks(bench, "--quiet")
    expectThat((await task(bench)).startsWith(said), said)
  }),
  orchestrated("ps", async (bench) => {
    await one(bench)
    return [bench.name]
  }),
  {
    command: "stack rm",
    flags: [],
    says: "services, secrets and networks of the stack are gone, and their containers",
    run: async (bench) => {
      await one(bench)
      const said = await bench.docker("stack", "rm", bench.name)
      await bench.until(
        () => bench.containers(web(bench)),
        (seen) => seen.length === 0
      )
      await bench.until(
        () => bench.docker("network", "ls", "-q", "--filter", `name=${bench.name}_default`),
        (seen) => seen === ""
      )
      return said.replaceAll(bench.name, "NAME")
    }
  },
  {
    ...ownOf("stack rm")("--detach", "with false the command waits until no task is left", async (bench) => {
      await one(bench)
      await bench.docker("stack", "rm", "--detach=false", bench.name)
      expectThat((await bench.containers(web(bench))).length === 0, "a container runs")
    }),
    onlySome: true
  },
  orchestrated("rm", async (bench) => {
    await one(bench)
    return [bench.name]
  }),
  services("--filter", "only what has the name and the label is listed", async (bench) => {
    await up(bench, await composed(bench, { web: { deploy: { labels: { colour: "blue" } } }, other: {} }))
    const listed = (filter: string) =>
      bench.docker("stack", "services", "--filter", filter, "--format", "{{.Name}}", bench.name)
    for (const filter of [`name=${web(bench)}`, "label=colour=blue", "label=colour"])
      expectThat((await listed(filter)) === web(bench), filter)
    const both = (await listed("mode=replicated")).split("\n").length
    expectThat(both === 2, both)
  }),
  services("--format", "the template is filled in", async (bench) => {
    await one(bench)
    const filled = () =>
      bench.docker("stack", "services", "--format", "{{.Name}} {{.Mode}} {{.Replicas}}", bench.name)
    await bench.until(filled, (seen) => seen === `${web(bench)} replicated 1/1`)
  }),
  services("--quiet", "only the id is printed", async (bench) => {
    await one(bench)
    const said = await bench.docker("stack", "services", "--quiet", bench.name)
    const id = await bench.docker("service", "inspect", web(bench), "--format", "{{.ID}}")
    expectThat(said.length >= 12 && id.startsWith(said), said)
  }),
  orchestrated("services", async (bench) => {
    await one(bench)
    return [bench.name]
  })
]
