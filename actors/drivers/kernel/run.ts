/** Runs `ip`, `bridge` and `nft`: questions with JSON for an answer, and batches, of which each line is tried. */
import process from "node:process"
import { Effect, Schema } from "effect"
import { spawn } from "#runtime/platform.ts"

/** It could not be run, or did not do all it was told; `message` is in its own words. */
export class KernelError extends Schema.TaggedError<KernelError>()("KernelError", {
  message: Schema.String
}) {}

/** Outside of a login shell, these may be missing. */
export const path = `${process.env.PATH ?? ""}:/usr/sbin:/sbin`
const withinMs = 10_000

/** What `command` says; fails with its complaint. */
export const run = (
  command: string,
  args: ReadonlyArray<string>,
  input: string
): Effect.Effect<string, KernelError> =>
  Effect.callback((resume) => {
    const child = spawn(command, [...args], {
      env: { ...process.env, PATH: path, LC_ALL: "C" },
      stdio: ["pipe", "pipe", "pipe"],
      timeout: withinMs,
      killSignal: "SIGKILL"
    })
    let [output, complaint] = ["", ""]
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      output += chunk
    })
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      complaint += chunk
    })
    const fail = (message: string): void =>
      resume(Effect.fail(new KernelError({ message: `${command}: ${message}` })))
    child.on("error", ({ message }) => fail(message))
    child.on("close", (code) => {
      if (code === 0) resume(Effect.succeed(output))
      else fail(complaint.trim() || `ended with ${code ?? "a signal"}`)
    })
    // Ended early, it reads no more.
    child.stdin.on("error", () => {})
    child.stdin.end(input)
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** What `command` answers, which is JSON. */
export const question = <A>(
  command: "ip" | "bridge",
  args: ReadonlyArray<string>,
  schema: Schema.Codec<A, unknown>
): Effect.Effect<A, KernelError> =>
  run(command, ["-j", ...args], "").pipe(
    Effect.flatMap((output) =>
      Effect.try({
        try: () => Schema.decodeUnknownSync(schema)(JSON.parse(output.trim() === "" ? "[]" : output)),
        catch: (error) => new KernelError({ message: `${command} ${args.join(" ")}: ${String(error)}` })
      })
    )
  )

/** Carries out all lines that can be; fails with the complaints about the others. */
export const batch = (
  command: "ip" | "bridge",
  lines: ReadonlyArray<string>
): Effect.Effect<void, KernelError> =>
  lines.length === 0
    ? Effect.void
    : Effect.asVoid(run(command, ["-force", "-batch", "-"], `${lines.join("\n")}\n`))
