/** Every flag of the installed docker CLI has a case, and an eighth of the cases is run: another one every hour. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { readFile } from "node:fs/promises"
import type { Target } from "#test/conformance/case.ts"
import { cases, commandsOf } from "#test/conformance/cases.ts"
import { parseCommands, parseHelp } from "#test/conformance/help.ts"
import { resultsOf, runnable, uncovered } from "#test/conformance/results.ts"
import { partOf, sweep } from "#test/conformance/sweep.ts"
import { openTarget } from "#test/conformance/target.ts"
import { clis } from "#test/support/docker-cli.ts"

const hour = 3_600_000

test("flags are read from a command's help, with a letter or without, over several lines", () => {
  const help = `
Options:
      --config-add config                  Add or update a config file on
                                           a service, as --config does
  -d, --detach                             Exit immediately
      --rollback-max-failure-ratio float   Failure rate
  -u, --user string`
  expect(parseHelp(help)).toEqual([
    { name: "--config-add", value: "config" },
    { name: "--detach", value: "" },
    { name: "--rollback-max-failure-ratio", value: "float" },
    { name: "--user", value: "string" }
  ])
})

test("commands are read from a noun's help", () => {
  const help = `
Usage:  docker swarm COMMAND

Commands:
  ca          Display and rotate the root CA
  join-token  Manage join tokens

Run 'docker swarm COMMAND --help' for more information on a command.`
  expect(parseCommands(help)).toEqual(["ca", "join-token"])
})

test.each([...clis])(
  "docker $version has no command and no flag without a case",
  ({ path, version }) => {
    const commands = commandsOf(path)
    expect(commands.length).toBeGreaterThan(40)
    expect({ version, missing: uncovered(commands, cases) }).toEqual({ version, missing: [] })
  },
  60_000
)

const results = await readFile(new URL("RESULTS.md", import.meta.url), "utf8")

test.each(clis.filter(({ version }) => results.includes(`docker ${version} `)))(
  "RESULTS.md is what the cases and the help of docker $version say",
  ({ path, version }) => {
    // What comes after was seen beside Docker's own Swarm.
    const [tables] = results.split("\n## Beside ")
    expect(tables).toBe(resultsOf(commandsOf(path), cases, version))
  },
  60_000
)

test("no more than ten flags are unsupported", () => {
  const unsupported = cases.filter(({ status }) => status === "unsupported").flatMap(({ flags }) => flags)
  expect(unsupported.length).toBeLessThanOrEqual(10)
})

describe("an eighth of all flags", () => {
  let target: Target
  beforeAll(async () => {
    target = await openTarget("troupe")
  }, 120_000)
  afterAll(() => target.close(), 60_000)

  test("shows its effects on the Engine", async () => {
    const cli = clis[0]?.path ?? "docker"
    const part = partOf(runnable(cases, commandsOf(cli)), 8, Math.floor(Date.now() / hour))
    const outcomes = await sweep(target, part, cli)
    const failures = outcomes
      .filter(({ failure }) => failure !== undefined)
      .map(({ tried, failure }) => `docker ${tried.command} ${tried.flags.join(" ")}: ${failure}`)
    expect(failures).toEqual([])
    expect(outcomes.length).toBe(part.length)
  }, 300_000)
})
