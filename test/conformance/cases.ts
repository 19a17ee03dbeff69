/** Every command that the sweep covers, and every case of it; each command's cases are a file of their own. */
import type { Case } from "#test/conformance/case.ts"
import { flagsOf } from "#test/conformance/help.ts"
import type { Command } from "#test/conformance/results.ts"
import { serviceCreate } from "#test/conformance/service-create.ts"
import { serviceUpdate } from "#test/conformance/service-update.ts"
import { dockerHost } from "#test/support/engine.ts"

export const cases: ReadonlyArray<Case> = [...serviceCreate, ...serviceUpdate]

/** The commands of the cases, with what a CLI offers for each. */
export const commandsOf = (cli: string): ReadonlyArray<Command> =>
  [...new Set(cases.map(({ command }) => command))].map((name) => ({
    name,
    flags: flagsOf(cli, name, dockerHost)
  }))
