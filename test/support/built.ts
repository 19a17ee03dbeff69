/** The daemon as `bun run node` runs it: built. */
import { execFileSync } from "node:child_process"
import process from "node:process"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** Builds it, and gives the program by its path from the root of the repository. */
export function build(): string {
  execFileSync(process.execPath, ["deploy/build.ts"], { cwd: root, stdio: ["ignore", "ignore", "inherit"] })
  return "dist/main.js"
}
