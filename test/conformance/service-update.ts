/** The cases of `docker service update`. */
import type { Bench, Case } from "#test/conformance/case.ts"
import {
  create,
  expectThat,
  idle,
  listed,
  ownOf,
  runs,
  service,
  template,
  update,
  updated
} from "#test/conformance/service-case.ts"
import { fields } from "#test/conformance/service-fields.ts"
import { lists } from "#test/conformance/service-lists.ts"
import { testImage } from "#test/support/engine.ts"

const own = ownOf("service update")

const variable = (bench: Bench): Promise<string> => bench.inside("echo [$COLOUR]")

export const serviceUpdate: ReadonlyArray<Case> = [
  ...fields.map(updated),
  ...lists.flatMap(listed).filter(({ command }) => command === "service update"),
  updated({
    flags: ["--args"],
    args: ["--args", "sleep 4321"],
    says: "Cmd of the container is the words given",
    read: async (bench) => (await bench.container()).Config.Cmd,
    wanted: ["sleep", "4321"]
  }),
  updated({
    flags: ["--with-registry-auth"],
    args: ["--with-registry-auth", "--label-add", "sent=yes"],
    says: "the service is taken, and no credentials are told again",
    read: async (bench) => {
      const { Spec } = await service(bench)
      return [Spec.Labels.sent, Object.keys(Spec.TaskTemplate.ContainerSpec).includes("PullOptions")]
    },
    wanted: ["yes", false]
  }),
  own("--image", "the container is made from the other image", async (bench) => {
    const [repository, tag] = [bench.name, "2"]
    await bench.target.engine.getImage(testImage).tag({ repo: repository, tag })
    bench.after(() => bench.target.engine.getImage(`${repository}:${tag}`).remove())
    await create(bench)
    await runs(bench)
    await update(bench, "--image", `${repository}:${tag}`)
    await bench.until(
      async () => (await bench.container()).Config.Image,
      (seen) => seen === `${repository}:${tag}`
    )
  }),
  own("--force", "another container runs, though nothing changed", async (bench) => {
    await create(bench)
    const { Id } = (await bench.until(bench.container, () => true)) as { Id: string }
    await update(bench, "--force")
    await bench.until(
      async () => (await bench.container()).Id,
      (seen) => seen !== Id
    )
    return (await template(bench)).ForceUpdate
  }),
  own("--rollback", "what ran before the last update runs again", async (bench) => {
    await create(bench, ["--env", "COLOUR=blue"])
    await bench.until(
      () => variable(bench),
      (seen) => seen === "[blue]"
    )
    await update(bench, "--env-add", "COLOUR=red")
    await bench.until(
      () => variable(bench),
      (seen) => seen === "[red]"
    )
    await update(bench, "--rollback")
    return await bench.until(
      () => variable(bench),
      (seen) => seen === "[blue]"
    )
  }),
  own("--detach", "the command ends though the update never can", async (bench) => {
    await create(bench)
    const never = ["--constraint-add", "node.labels.zone==nowhere"]
    const said = await bench.docker("service", "update", "--detach", ...never, bench.name)
    expectThat(said === bench.name, said)
  }),
  own("--quiet", "the command waits and prints nothing but the name", async (bench) => {
    await create(bench, ["--update-monitor", "1s"])
    await runs(bench)
    const said = await bench.docker("service", "update", "--quiet", "--env-add", "COLOUR=blue", bench.name)
    expectThat(said === bench.name, said)
    expectThat(
      (await service(bench)).UpdateStatus?.State === "completed",
      (await service(bench)).UpdateStatus
    )
    return await variable(bench)
  }),
  own("--no-resolve-image", "no registry is asked for a digest, so none is missed", async (bench) => {
    await create(bench, [], idle)
    const asked = ["service", "update", "-d", "--no-resolve-image", "--image", testImage, bench.name]
    const { code, said } = await bench.attempt(...asked)
    expectThat(code === 0 && !said.includes("could not be accessed on a registry"), said)
  })
]
