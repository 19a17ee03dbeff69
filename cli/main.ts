/** The executable: finds the command, runs it. `node` is loaded only when it is asked for; the rest start fast. */
import process from "node:process"
// Not the whole package, which loads every platform that it knows.
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect } from "effect"
import { CliError, Command } from "effect/cli"
import { nodeFlags } from "#cli/node-options.ts"
import { runMain } from "#runtime/main.ts"
import { compileLater } from "#runtime/platform.ts"
import packageJson from "../package.json" with { type: "json" }

const node = Command.make("node", nodeFlags, (flags) =>
  Effect.gen(function* () {
    const { runNode } = yield* Effect.promise(() => import("#cli/daemon.ts"))
    yield* runNode(flags)
  })
).pipe(Command.withDescription("Run a node: the daemon of this machine"))

const isNode = process.argv[2] === "node"
if (isNode) compileLater(100)
const others = isNode ? [] : (await import("#cli/commands.ts")).commands

const troupe = Command.make("troupe").pipe(
  Command.withDescription("What the docker CLI has no word for; everything else is docker -H unix://…"),
  Command.withSubcommands([node, ...others])
)

/** The parser has said what was wrong already, with the command's help. */
class Misused extends Error {
  override readonly message = ""
  readonly exitCode = 2
}

runMain(
  Command.run(troupe, { version: packageJson.version }).pipe(
    Effect.mapError((error) => (CliError.isCliError(error) ? new Misused() : error)),
    Effect.provide(NodeServices.layer)
  )
)
