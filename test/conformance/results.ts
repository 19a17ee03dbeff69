/** The table of flags that `RESULTS.md` holds, made from the cases. */
import type { Case } from "#test/conformance/case.ts"
import type { Flag } from "#test/conformance/help.ts"

export interface Command {
  /** What follows `docker`. */
  readonly name: string
  readonly flags: ReadonlyArray<Flag>
}

/** `service create --tty`, for each flag that has no case, and each flag of a case that no CLI offers. */
export function uncovered(
  commands: ReadonlyArray<Command>,
  cases: ReadonlyArray<Case>
): ReadonlyArray<string> {
  return commands.flatMap(({ name, flags }) => {
    const proved = new Set(cases.filter(({ command }) => command === name).flatMap(({ flags }) => flags))
    const offered = new Set(flags.map((flag) => flag.name))
    return [
      ...[...offered].filter((flag) => !proved.has(flag)).map((flag) => `${name} ${flag}: has no case`),
      ...[...proved].filter((flag) => !offered.has(flag)).map((flag) => `${name} ${flag}: is no flag`)
    ]
  })
}

/** Markdown: a table per command, flag → status → what its cases see. */
export function resultsOf(
  commands: ReadonlyArray<Command>,
  cases: ReadonlyArray<Case>,
  version: string
): string {
  const tables = commands.map(({ name, flags }) => {
    const rows = flags.map((flag) => {
      const proving = cases.filter(({ command, flags }) => command === name && flags.includes(flag.name))
      const status = proving.find((one) => one.status !== undefined)?.status ?? "supported"
      return [`\`${flag.name}\``, status, proving.map(({ says }) => says.replaceAll("|", "\\|")).join("; ")]
    })
    return `## docker ${name}\n\n${table([["flag", "status", "what its case sees"], ...rows])}\n`
  })
  const opening = `# Every flag, and what it does\n\nMade by \`npm run conformance -- --write\` from the help of docker ${version} and the cases beside this file, all of which passed.\n`
  return `${opening}\n${tables.join("\n")}`
}

/** Its first row is the head; columns are as wide as the formatter wants them. */
function table([head = [], ...rows]: ReadonlyArray<ReadonlyArray<string>>): string {
  const widths = head.map((cell, at) => Math.max(cell.length, ...rows.map((row) => (row[at] ?? "").length)))
  const line = (row: ReadonlyArray<string>) =>
    `| ${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(" | ")} |`
  return [head, widths.map((width) => "-".repeat(width)), ...rows].map(line).join("\n")
}
