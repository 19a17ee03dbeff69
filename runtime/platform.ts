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

/** Where the C library may be, by platform: GNU's, musl's, and macOS's. */
const cLibraries = ["libc.so.6", "libc.so", "libSystem.B.dylib"]

/**
 * Ends the whole process with `code`, at once, from whichever thread calls it.
 *
 * `process.exit` in a worker ends the worker only, under Bun and Deno alike, and the main thread may be past listening;
 * so this is the C library's `_exit`. Where there is none, SIGKILL ends the process without the code.
 */
export async function endProcess(code: number): Promise<never> {
  for (const library of cLibraries) {
    try {
      if (isBun) {
        const { dlopen } = await import("bun:ffi")
        dlopen(library, { _exit: { args: ["i32"], returns: "void" } }).symbols._exit(code)
      } else {
        const deno = (globalThis as { readonly Deno?: DenoForeign }).Deno
        deno?.dlopen(library, { _exit: { parameters: ["i32"], result: "void" } }).symbols._exit(code)
      }
    } catch {
      // Not this one.
    }
  }
  process.kill(process.pid, "SIGKILL")
  return await new Promise<never>(() => {})
}

/** The part of Deno that speaks to C. */
interface DenoForeign {
  readonly dlopen: (
    library: string,
    symbols: { readonly _exit: { readonly parameters: ReadonlyArray<"i32">; readonly result: "void" } }
  ) => { readonly symbols: { readonly _exit: (code: number) => void } }
}
