/** How a soak ends: a table, what was not as it must be, and the exit code. */
import process from "node:process"

export function conclude(
  rows: ReadonlyArray<readonly [name: string, value: string]>,
  problems: ReadonlyArray<string>
): never {
  for (const [name, value] of [...rows, ["violations", String(problems.length)] as const])
    console.log(`${name.padEnd(44)} ${value}`)
  for (const problem of problems.slice(0, 20)) console.log(`VIOLATED: ${problem}`)
  process.exit(problems.length === 0 ? 0 : 1)
}
