/** A program for the tests of `runMain`: what it does is its first argument. */
import process from "node:process"
import { Data, Effect } from "effect"
import { runMain } from "#runtime/main.ts"
import { runtimeName } from "#runtime/platform.ts"

class Refused extends Data.TaggedError("Refused")<{ readonly message: string; readonly exitCode: number }> {}

const say = (words: string): Effect.Effect<void> => Effect.sync(() => void process.stdout.write(`${words}\n`))

const programs: Record<string, Effect.Effect<unknown, Error>> = {
  ends: say(runtimeName()),
  talks: say("x".repeat(1_000_000)),
  fails: Effect.fail(new Error("no such stack: shop")),
  refuses: Effect.fail(new Refused({ message: "unknown flag --colour", exitCode: 2 })),
  breaks: Effect.die(new TypeError("a bug")),
  waits: Effect.scoped(
    Effect.acquireRelease(say("ready"), () =>
      Effect.andThen(Effect.sleep("20 millis"), say("released"))
    ).pipe(Effect.andThen(Effect.never))
  ),
  hangs: Effect.scoped(
    Effect.acquireRelease(say("ready"), () => Effect.andThen(say("releasing"), Effect.never)).pipe(
      Effect.andThen(Effect.never)
    )
  )
}

runMain(programs[process.argv[2] ?? "ends"] ?? Effect.fail(new Error("no such program")))
