/** What differs between Bun and Deno, in one place: which one runs us, and how to start one of our own scripts. */
import process from "node:process"
import { fileURLToPath } from "node:url"

export const isBun: boolean = "Bun" in globalThis
export const isDeno: boolean = "Deno" in globalThis

/** The runtime and its version, for people: `bun 1.4.5`. */
export const runtimeName = (): string => {
  const { bun, deno, node } = process.versions as Record<string, string | undefined>
  if (isBun) return `bun ${bun}`
  if (isDeno) return `deno ${deno}`
  return `node ${node}`
}

export interface Command {
  readonly command: string
  readonly args: ReadonlyArray<string>
}

/**
 * The command that starts `script` (a file URL, as `import.meta.resolve` and `new URL(…, import.meta.url)` give it)
 * with `args` as a child process under the runtime that runs us.
 */
export function selfCommand(script: string | URL, args: ReadonlyArray<string> = []): Command {
  const path = fileURLToPath(script)
  // Deno grants nothing unless asked; a child of ours may do what we may.
  const before = isDeno ? ["run", "--allow-all", "--quiet"] : []
  return { command: process.execPath, args: [...before, path, ...args] }
}
