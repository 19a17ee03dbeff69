/** The executable: finds the command, runs it. `node` is loaded only when it is asked for; the rest start fast. */
import process from "node:process"
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Cause, Effect, Exit } from "effect"
import { CliError, Command } from "effect/cli"
import { doctor } from "#cli/commands/doctor.ts"
import { natsCreds } from "#cli/commands/nats-creds.ts"
import { status } from "#cli/commands/status.ts"
import { tree } from "#cli/commands/tree.ts"
import { nodeFlags } from "#cli/node-options.ts"
import packageJson from "../package.json" with { type: "json" }

const node = Command.make("node", nodeFlags, (flags) =>
  Effect.gen(function* () {
    const { runNode } = yield* Effect.promise(() => import("#cli/daemon.ts"))
    yield* runNode(flags)
  })
).pipe(Command.withDescription("Run a node: the daemon of this machine"))

const troupe = Command.make("troupe").pipe(
  Command.withDescription("What the docker CLI has no word for; everything else is docker -H unix://…"),
  Command.withSubcommands([node, status, tree, doctor, natsCreds])
)

/** What went wrong in one line when we know what it is; everything there is to know when we do not. */
function explain(cause: Cause.Cause<unknown>): string | undefined {
  if (Cause.hasInterruptsOnly(cause)) return undefined
  const error = Cause.squash(cause)
  // The parser has said it already, with the command's help.
  if (CliError.isCliError(error)) return undefined
  return Cause.hasDies(cause) || !(error instanceof Error) ? Cause.pretty(cause) : `troupe: ${error.message}`
}

const program = Command.run(troupe, { version: packageJson.version }).pipe(
  Effect.tapCause((cause) =>
    Effect.sync(() => {
      const text = explain(cause)
      if (text !== undefined) console.error(text)
    })
  ),
  Effect.provide(NodeServices.layer)
)

NodeRuntime.runMain(program, {
  disableErrorReporting: true,
  // A signal is how a node is told to stop, and stopping in order is success.
  teardown: (exit, onExit) => {
    const told = Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
    onExit(Exit.isSuccess(exit) || told ? Number(process.exitCode ?? 0) : 1)
  }
})
