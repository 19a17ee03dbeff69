/** The cases of `docker secret` and `docker config`, which are the same but for secrets' drivers and configs' open content. */
import type { Bench, Case } from "#test/conformance/case.ts"
import { create, expectThat, ownOf, runs } from "#test/conformance/service-case.ts"

type Kind = "secret" | "config"

/** One of the case's own, gone with it. */
async function make(bench: Bench, kind: Kind, ...args: ReadonlyArray<string>): Promise<string> {
  const id = await bench.told("content of the case", kind, "create", ...args, bench.name, "-")
  gone(bench, kind)
  return id
}

const gone = (bench: Bench, kind: Kind): void =>
  bench.after(() =>
    bench.until(
      () => bench.attempt(kind, "rm", bench.name),
      ({ code }) => code === 0
    )
  )

const targetOf = (kind: Kind): string => (kind === "secret" ? "/run/secrets/told" : "/told")

function both(kind: Kind): ReadonlyArray<Case> {
  const of = (verb: string) => ownOf(`${kind} ${verb}`)
  const listed = (bench: Bench, filter: string) => bench.docker(kind, "ls", "-q", "--filter", filter)
  return [
    of("create")("--label", `Labels of the ${kind} have it`, async (bench) => {
      await make(bench, kind, "--label", "colour=blue", "--label", "empty")
      const labels = await bench.json(kind, "inspect", bench.name, "--format", "{{json .Spec.Labels}}")
      expectThat(labels.colour === "blue" && labels.empty === "", labels)
      return labels
    }),
    of("create")("--template-driver", "the file inside is the template, filled in", async (bench) => {
      const template = '{{.Service.Name}} {{.Task.Slot}} {{env "COLOUR"}}'
      await bench.told(template, kind, "create", "--template-driver", "golang", bench.name, "-")
      gone(bench, kind)
      const given = [`--${kind}`, `source=${bench.name},target=${targetOf(kind)}`, "--env", "COLOUR=blue"]
      await create(bench, given)
      await bench.until(
        () => bench.inside(`cat ${targetOf(kind)}`),
        (seen) => seen === `${bench.name} 1 blue`
      )
    }),
    of("ls")("--filter", "only what has the name, the id and the label is listed", async (bench) => {
      const id = await make(bench, kind, "--label", `${bench.name}=yes`)
      for (const filter of [
        `name=${bench.name}`,
        `id=${id}`,
        `label=${bench.name}`,
        `label=${bench.name}=yes`
      ])
        expectThat((await listed(bench, filter)) === id, filter)
      for (const filter of ["name=nobody", "id=nobody", "label=nobody", `label=${bench.name}=no`])
        expectThat((await listed(bench, filter)) === "", filter)
    }),
    of("ls")("--format", "the template is filled in", async (bench) => {
      await make(bench, kind)
      const said = await bench.docker(
        kind,
        "ls",
        "--filter",
        `name=${bench.name}`,
        "--format",
        "{{.Name}} {{.CreatedAt}}"
      )
      expectThat(said.startsWith(`${bench.name} `) && said.endsWith(" ago"), said)
    }),
    of("ls")("--quiet", "only ids are printed", async (bench) => {
      const id = await make(bench, kind)
      const said = (await bench.docker(kind, "ls", "--quiet")).split("\n")
      expectThat(said.includes(id) && said.every((line) => /^\w{25}$/.test(line)), said)
    }),
    of("inspect")("--format", "the template is filled in", async (bench) => {
      const id = await make(bench, kind)
      const said = await bench.docker(
        kind,
        "inspect",
        bench.name,
        "--format",
        "{{.ID}} {{.Spec.Name}} {{.Spec.Data}}"
      )
      const shown = kind === "secret" ? "[]" : `[${[...Buffer.from("content of the case")].join(" ")}]`
      expectThat(said === `${id} ${bench.name} ${shown}`, said)
    }),
    of("inspect")("--pretty", `people read what the ${kind} has`, async (bench) => {
      await make(bench, kind, "--label", "colour=blue")
      const said = await bench.docker(kind, "inspect", "--pretty", bench.name)
      expectThat(said.includes("- colour=blue"), said)
      expectThat(said.includes("content of the case") === (kind === "config"), said)
      return said.split("\n").map((line) => line.split(":")[0]?.trim())
    }),
    {
      command: `${kind} rm`,
      flags: [],
      says: "what a service uses is refused; unused it goes",
      run: async (bench) => {
        await bench.told("x", kind, "create", bench.name, "-")
        await create(bench, [`--${kind}`, bench.name])
        await runs(bench)
        const refused = await bench.attempt(kind, "rm", bench.name)
        expectThat(refused.code === 1 && refused.said.includes("is in use by the following service"), refused)
        await bench.docker("service", "rm", bench.name)
        await bench.docker(kind, "rm", bench.name)
        expectThat((await listed(bench, `name=${bench.name}`)) === "", "it is there")
        return refused.said.replaceAll(bench.name, "NAME")
      }
    }
  ]
}

export const files: ReadonlyArray<Case> = [
  ...both("secret"),
  ...both("config"),
  ownOf("secret create")(
    "--driver",
    "it is kept without a value, and where there is no such driver no task that needs it runs",
    async (bench) => {
      await bench.docker("secret", "create", "--driver", "nobody", bench.name)
      gone(bench, "secret")
      const [{ Spec }] = await bench.json("secret", "inspect", bench.name)
      expectThat(Spec.Driver.Name === "nobody" && Spec.Data === undefined, Spec)
      await create(bench, ["--secret", bench.name])
      const error = () =>
        bench.docker("service", "ps", "--no-trunc", "--format", "{{.CurrentState}} {{.Error}}", bench.name)
      await bench.until(error, (seen) => /Rejected.*secret/.test(seen))
      expectThat((await bench.containers()).length === 0, "a container runs")
      return Spec.Driver
    }
  )
]
