/** The executable: finds the command, runs it. `node` is loaded only when it is asked for; the rest start fast. */
import { NodeServices } from "@effect/platform-node"
import { Effect } from "effect"
import { CliError, Command } from "effect/cli"
import { alerts } from "#cli/commands/alerts.ts"
import { allow, deny } from "#cli/commands/allow.ts"
import { autoscale } from "#cli/commands/autoscale.ts"
import { backup, restore } from "#cli/commands/backup.ts"
import { dashboard } from "#cli/commands/dashboard.ts"
import { doctor } from "#cli/commands/doctor.ts"
import { history } from "#cli/commands/history.ts"
import { httpToken } from "#cli/commands/http-token.ts"
import { log } from "#cli/commands/log.ts"
import { logs } from "#cli/commands/logs.ts"
import { natsCreds } from "#cli/commands/nats-creds.ts"
import { networkKeys } from "#cli/commands/network-keys.ts"
import { recover } from "#cli/commands/recover.ts"
import { recorder, replay } from "#cli/commands/replay.ts"
import { status } from "#cli/commands/status.ts"
import { top } from "#cli/commands/top.ts"
import { trace } from "#cli/commands/trace.ts"
import { tree } from "#cli/commands/tree.ts"
import { down, plan, up } from "#cli/commands/up.ts"
import { why } from "#cli/commands/why.ts"
import { nodeFlags } from "#cli/node-options.ts"
import { runMain } from "#runtime/main.ts"
import packageJson from "../package.json" with { type: "json" }

const node = Command.make("node", nodeFlags, (flags) =>
  Effect.gen(function* () {
    const { runNode } = yield* Effect.promise(() => import("#cli/daemon.ts"))
    yield* runNode(flags)
  })
).pipe(Command.withDescription("Run a node: the daemon of this machine"))

const troupe = Command.make("troupe").pipe(
  Command.withDescription("What the docker CLI has no word for; everything else is docker -H unix://…"),
  Command.withSubcommands([
    node,
    up,
    plan,
    down,
    status,
    top,
    why,
    history,
    autoscale,
    alerts,
    tree,
    trace,
    recorder,
    replay,
    doctor,
    logs,
    log,
    backup,
    restore,
    recover,
    allow,
    deny,
    natsCreds,
    networkKeys,
    httpToken,
    dashboard
  ])
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
