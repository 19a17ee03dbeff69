/** What differs between Bun and Deno, in one place: which one runs us, and how to start children and our own scripts. */
import { spawn as spawnWhatever } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
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
 * Gives back what only the start took: garbage and compiled code when the process next has nothing to do, and at once
 * the pages of Bun's own code and constants. What is used again is compiled and mapped again. Without effect but under Bun.
 */
export function shrink(): void {
  if (!isBun) return
  Bun.shrink()
  unmapProgram()
}

const MADV_DONTNEED = 4

/** Linux maps sixteen pages where one is touched, so that a start leaves half of Bun's 105 MiB resident. */
function unmapProgram(): void {
  let maps: string
  try {
    maps = readFileSync("/proc/self/smaps", "latin1")
  } catch {
    // No Linux, or one that does not let us look.
    return
  }
  const madvise = cFunction("madvise", ["u64", "u64", "i32"], "i32")
  for (const { from, to } of unchangedParts(maps, process.execPath)) madvise?.(from, to - from, MADV_DONTNEED)
}

/**
 * Where the code and the constants of `file` lie in memory, by what `/proc/<pid>/smaps` says (proc_pid_smaps(5)): only what
 * is still as the file has it, since anything else could not be read from there again.
 */
export function unchangedParts(
  maps: string,
  file: string
): ReadonlyArray<{ readonly from: number; readonly to: number }> {
  return maps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m).flatMap((mapping) => {
    const [head = ""] = mapping.split("\n", 1)
    const isUnchanged =
      / r-[x-]p /.test(head) && head.endsWith(` ${file}`) && /^Anonymous: +0 kB$/m.test(mapping)
    const [from = 0, to = 0] = head.split(/[- ]/, 2).map((address) => Number.parseInt(address, 16))
    return isUnchanged ? [{ from, to }] : []
  })
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

let closeOnExec: CFunction | undefined

function keepFilesToOurselves(): void {
  closeOnExec ??= cFunction("ioctl", ["i32", "u64"], "i32") ?? (() => {})
  for (const name of readdirSync("/dev/fd")) {
    const file = Number(name)
    if (file > 2) closeOnExec(file, FIOCLEX)
  }
}

/**
 * Ends the whole process with `code`, at once, from whichever thread calls it.
 *
 * `process.exit` in a worker ends the worker only, under Bun and Deno alike, and the main thread may be past listening;
 * so this is the C library's `_exit`. Where there is none, SIGKILL ends the process without the code.
 */
export async function endProcess(code: number): Promise<never> {
  cFunction("_exit", ["i32"], "void")?.(code)
  process.kill(process.pid, "SIGKILL")
  return await new Promise<never>(() => {})
}

/** As Bun and Deno both name them. */
type CType = "i32" | "u64" | "void"
type CFunction = (...args: ReadonlyArray<number | bigint>) => unknown

/** Where the C library may be, by platform: GNU's, musl's, and macOS's. */
const cLibraries = ["libc.so.6", "libc.so", "libSystem.B.dylib"]

/** A function of the C library. Undefined where there is none, or no permission for it. */
function cFunction(name: string, parameters: ReadonlyArray<CType>, result: CType): CFunction | undefined {
  for (const library of cLibraries) {
    try {
      if (isBun) {
        const { dlopen } = process.getBuiltinModule("bun:ffi") as BunForeign
        return dlopen(library, { [name]: { args: parameters, returns: result } }).symbols[name]
      }
      const deno = (globalThis as { readonly Deno?: DenoForeign }).Deno
      return deno?.dlopen(library, { [name]: { parameters, result } }).symbols[name]
    } catch {
      // Not this one.
    }
  }
  return undefined
}

interface Library {
  readonly symbols: Readonly<Record<string, CFunction>>
}

/** The part of Bun that speaks to C. Not imported by its name, which Deno does not know. */
interface BunForeign {
  readonly dlopen: (
    library: string,
    symbols: Readonly<Record<string, { readonly args: ReadonlyArray<CType>; readonly returns: CType }>>
  ) => Library
}

/** The part of Deno that does. */
interface DenoForeign {
  readonly dlopen: (
    library: string,
    symbols: Readonly<Record<string, { readonly parameters: ReadonlyArray<CType>; readonly result: CType }>>
  ) => Library
}
