/** What differs between Bun and Deno, in one place: which one runs us, and how to start children and our own scripts. */
import { spawn as spawnWhatever } from "node:child_process"
import { readdirSync } from "node:fs"
import { basename } from "node:path"
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

/**
 * A file of ours, by its path from the root of the repository. Both this file and the built daemon, all of whose files
 * lie in `dist/`, are one folder below the root.
 */
export const ownFile = (path: string): URL => new URL(`../${path}`, import.meta.url)

const isBuilt = !import.meta.url.endsWith("/runtime/platform.ts")

/** What a thread or a process of its own runs, `actors/raft/storage/writer.ts`: as it is, or built when we are. */
export const ownProgram = (path: string): URL =>
  isBuilt ? new URL(`${basename(path, ".ts")}.js`, import.meta.url) : ownFile(path)

/**
 * Has code compiled so many `times` later than is usual, from now on: what only a start runs is left to the interpreter,
 * which takes less memory and time. Without effect but under Bun.
 */
export function compileLater(times: number): void {
  if (isBun) Bun.unsafe.setJITPolicy(times)
}

/**
 * Gives back what only the start took, when the process next has nothing to do: garbage, and code that has run, which
 * is read anew where it runs again. Without effect but under Bun.
 */
export function shrink(): void {
  if (isBun) Bun.shrink()
}

export interface Command {
  readonly command: string
  readonly args: ReadonlyArray<string>
}

/**
 * The command that starts `script` (a file URL, as `ownProgram` gives it) with `args` as a child process under the
 * runtime that runs us.
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
 * `spawn` of `node:child_process`, for children that get the files of their `stdio` and no others.
 *
 * Deno 2 opens unix sockets for `node:http` without close-on-exec: a child that outlives us would go on listening on
 * our socket, and whoever comes after us would find it taken.
 */
export const spawn: typeof spawnWhatever = ((...args: Parameters<typeof spawnWhatever>) => {
  if (isDeno) keepFilesToOurselves()
  return spawnWhatever(...args)
}) as typeof spawnWhatever

/** ioctl's request to set close-on-exec; unlike fcntl's it takes no variable argument, which foreign calls get wrong. */
const FIOCLEX = process.platform === "darwin" ? 0x20006601n : 0x5451n

let closeOnExec: ((file: number) => void) | undefined

function keepFilesToOurselves(): void {
  closeOnExec ??= openCLibrary()
  for (const name of readdirSync("/dev/fd")) {
    const file = Number(name)
    if (file > 2) closeOnExec(file)
  }
}

/** Without one, or without the permission for it, children get what Deno gives them. */
function openCLibrary(): (file: number) => void {
  const deno = (globalThis as { readonly Deno?: DenoForeign }).Deno
  for (const library of cLibraries) {
    try {
      const { ioctl } =
        deno?.dlopen(library, { ioctl: { parameters: ["i32", "u64"], result: "i32" } }).symbols ?? {}
      if (ioctl) return (file) => ioctl(file, FIOCLEX)
    } catch {
      // Not this one.
    }
  }
  return () => {}
}

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
  readonly dlopen: <Name extends string>(
    library: string,
    symbols: Readonly<Record<Name, { readonly parameters: ReadonlyArray<string>; readonly result: string }>>
  ) => { readonly symbols: Readonly<Record<Name, (...args: ReadonlyArray<number | bigint>) => void>> }
}
