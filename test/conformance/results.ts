/** The table of flags that `RESULTS.md` holds, made from the cases. */
import type { Case } from "#test/conformance/case.ts"
import type { Flag } from "#test/conformance/help.ts"

export interface Command {
  /** What follows `docker`. */
  readonly name: string
  readonly flags: ReadonlyArray<Flag>
}

/** What has no case: a flag that a CLI offers, or a command; and what is a case of nothing. */
export function uncovered(
  commands: ReadonlyArray<Command>,
  cases: ReadonlyArray<Case>
): ReadonlyArray<string> {
  const names = new Set(commands.map(({ name }) => name))
  const unknown = cases.filter(({ command, onlySome }) => onlySome !== true && !names.has(command))
  return [
    ...new Set(unknown.map(({ command }) => `${command}: is no command`)),
    ...commands.flatMap(({ name, flags }) => {
      const own = cases.filter(({ command }) => command === name)
      if (own.length === 0) return [`${name}: has no case`]
      const proved = new Set(own.flatMap(({ flags }) => flags))
      const everywhere = own.filter(({ onlySome }) => onlySome !== true).flatMap(({ flags }) => flags)
      const offered = new Set(flags.map((flag) => flag.name))
      return [
        ...[...offered].filter((flag) => !proved.has(flag)).map((flag) => `${name} ${flag}: has no case`),
        ...[...new Set(everywhere)]
          .filter((flag) => !offered.has(flag))
          .map((flag) => `${name} ${flag}: is no flag`)
      ]
    })
  ]
}

/** The cases that a CLI which offers these commands can run. */
export const runnable = (cases: ReadonlyArray<Case>, commands: ReadonlyArray<Command>): ReadonlyArray<Case> =>
  cases.filter(({ command, flags }) => {
    const offered = commands.find(({ name }) => name === command)?.flags.map(({ name }) => name)
    return offered !== undefined && flags.every((flag) => offered.includes(flag))
  })

/** A case that shows something else on Docker's own Swarm. */
export interface Difference {
  readonly title: string
  readonly reason: string
}

/** Markdown: a table per command, flag → status → what its cases see; and how Swarm differs, where that was looked at. */
export function resultsOf(
  commands: ReadonlyArray<Command>,
  cases: ReadonlyArray<Case>,
  version: string,
  differences?: ReadonlyArray<Difference>
): string {
  const tables = commands.map(({ name, flags }) => {
    const rows: Array<ReadonlyArray<string>> = flags.map((flag) => {
      const proving = cases.filter(({ command, flags }) => command === name && flags.includes(flag.name))
      const status = proving.find((one) => one.status !== undefined)?.status ?? "supported"
      return [`\`${flag.name}\``, status, proving.map(({ says }) => says.replaceAll("|", "\\|")).join("; ")]
    })
    const bare = cases.filter(({ command, flags }) => command === name && flags.length === 0)
    if (bare.length > 0) rows.unshift(["(none)", "supported", bare.map(({ says }) => says).join("; ")])
    return `## docker ${name}\n\n${table([["flag", "status", "what its case sees"], ...rows])}\n`
  })
  const opening = `# Every flag, and what it does\n\nMade from the help of docker ${version} and the cases beside this file, as a test checks; \`npm run conformance\` runs them all.\n`
  return `${opening}\n${tables.join("\n")}${differences === undefined ? "" : `\n${besideSwarm(differences)}`}`
}

function besideSwarm(differences: ReadonlyArray<Difference>): string {
  const rows = differences.map(({ title, reason }) => [`\`${title.split(":")[0]}\``, reason])
  const head =
    "## Beside Docker's own Swarm\n\nThe same cases on the same Engine; these alone come out otherwise.\n"
  return `${head}\n${table([["case", "why"], ...rows])}\n`
}

/** Its first row is the head; columns are as wide as the formatter wants them. */
function table([head = [], ...rows]: ReadonlyArray<ReadonlyArray<string>>): string {
  const widths = head.map((cell, at) => Math.max(cell.length, ...rows.map((row) => (row[at] ?? "").length)))
  const line = (row: ReadonlyArray<string>) =>
    `| ${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(" | ")} |`
  return [head, widths.map((width) => "-".repeat(width)), ...rows].map(line).join("\n")
}
