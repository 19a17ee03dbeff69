/** How to run the shim with the runtime that runs us. */

import process from "node:process"
import { fileURLToPath } from "node:url"

/** Program and arguments to which the shim's own two are added. */
export function shimCommand(): ReadonlyArray<string> {
  const path = fileURLToPath(new URL("./shim.ts", import.meta.url))
  return process.versions.deno === undefined
    ? // Bun: a smaller heap for a program that mostly waits.
      [process.execPath, "--smol", path]
    : [process.execPath, "run", "--allow-all", "--no-lock", path]
}
