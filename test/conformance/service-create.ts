/** The cases of `docker service create`. */
import { writeFile } from "node:fs/promises"
import type { Case } from "#test/conformance/case.ts"
import {
  create,
  created,
  expectThat,
  idle,
  listed,
  ownOf,
  running,
  runs,
  service
} from "#test/conformance/service-case.ts"
import { fields } from "#test/conformance/service-fields.ts"
import { lists } from "#test/conformance/service-lists.ts"
import { testImage } from "#test/support/engine.ts"

const own = ownOf("service create")

/** What `service ls` says of a job: `0/1 (1/1 completed)`. */
const jobOf = (name: string, mode: string, replicas: string) =>
  created({
    flags: ["--mode"],
    args: ["--mode", mode],
    command: ["true"],
    says: `a ${name} is run once and is complete`,
    read: (bench) =>
      bench.docker("service", "ls", "--filter", `name=${bench.name}`, "--format", "{{.Replicas}}"),
    wanted: replicas
  })

export const serviceCreate: ReadonlyArray<Case> = [
  ...fields.map(created),
  ...lists.flatMap(listed).filter(({ command }) => command === "service create"),
  own("--env-file", "the variables of the file are set inside", async (bench) => {
    const file = `${bench.folder}/${bench.name}.env`
    await writeFile(file, "COLOUR=blue\n")
    await create(bench, ["--env-file", file])
    return await bench.until(
      () => bench.inside("echo $COLOUR"),
      (seen) => seen === "blue"
    )
  }),
  created({
    flags: ["--mode"],
    args: ["--mode", "global"],
    says: "a global service has one container on the only node",
    read: async (bench) => [Object.keys((await service(bench)).Spec.Mode), await running(bench)],
    wanted: [["Global"], 1]
  }),
  jobOf("replicated job", "replicated-job", "0/1 (1/1 completed)"),
  jobOf("global job", "global-job", "0/0 (1/1 completed)"),
  own("--name", "the container's name begins with it", async (bench) => {
    await create(bench)
    const { Name } = (await bench.until(bench.container, () => true)) as { Name: string }
    expectThat(Name.startsWith(`/${bench.name}.1.`), Name)
  }),
  own("--detach", "the command ends before anything runs", async (bench) => {
    const never = ["--constraint", "node.labels.zone==nowhere"]
    const said = await bench.docker(
      "service",
      "create",
      "--detach",
      "--name",
      bench.name,
      ...never,
      testImage
    )
    expectThat(/^\w{25}$/.test(said), said)
  }),
  own("--quiet", "the command waits and prints nothing but the id", async (bench) => {
    const named = ["--name", bench.name, "--update-monitor", "1s"]
    const said = await bench.docker("service", "create", "--quiet", ...named, testImage, ...idle)
    expectThat(/^\w{25}$/.test(said), said)
    await runs(bench)
  }),
  own("--no-resolve-image", "no registry is asked for a digest, so none is missed", async (bench) => {
    const asked = ["service", "create", "-d", "--no-resolve-image", "--name", bench.name, testImage, ...idle]
    const { code, said } = await bench.attempt(...asked)
    expectThat(code === 0 && !said.includes("could not be accessed on a registry"), said)
    await runs(bench)
  }),
  own("--with-registry-auth", "the service runs, and no credentials are told again", async (bench) => {
    await create(bench, ["--with-registry-auth"])
    await runs(bench)
    const spec = (await service(bench)).Spec.TaskTemplate.ContainerSpec
    expectThat(spec.PullOptions === undefined, spec)
  })
]
