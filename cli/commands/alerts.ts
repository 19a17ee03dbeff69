/** `troupe alerts`: what is wrong with the cluster now, and where it is told. */
import { Console, Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { webhookLabel } from "#actors/alerts/protocol.ts"
import type { SwarmSpec } from "#actors/model/spec.ts"
import { get, post, socketFlag } from "#cli/client.ts"
import { table } from "#cli/print/table.ts"

export interface Alert {
  readonly Condition: string
  readonly Object: { readonly Kind: string; readonly Name: string }
  readonly Since: string
  readonly Says: string
}

export const alertTable = (alerts: ReadonlyArray<Alert>): string =>
  table(
    ["ALERT", "SINCE", "WHAT"],
    alerts.map(({ Condition, Since, Says }) => [Condition, Since, Says])
  )

interface Swarm {
  readonly Version: { readonly Index: number }
  readonly Spec: SwarmSpec
}

const isAddress = (text: string): boolean => /^https?:$/.test(URL.parse(text)?.protocol ?? "")

/** Writes the label, or takes it away. */
const setWebhook = Effect.fnUntraced(function* (socket: string, webhook: string) {
  if (webhook !== "" && !isAddress(webhook)) {
    return yield* Effect.fail(
      new Error(`--webhook ${webhook}: expected an http or https address, or nothing for none`)
    )
  }
  const { Version, Spec } = yield* get<Swarm>(socket, "/swarm")
  const { [webhookLabel]: _before, ...others } = Spec.Labels ?? {}
  const Labels = webhook === "" ? others : { ...others, [webhookLabel]: webhook }
  yield* post(socket, `/swarm/update?version=${Version.Index}`, { ...Spec, Labels })
  yield* Console.log(webhook === "" ? "alerts are posted nowhere" : `alerts are posted to ${webhook}`)
})

export const alerts = Command.make(
  "alerts",
  {
    webhook: Flag.String("webhook").pipe(
      Flag.withDescription("post what begins and what ends to this address from now on; empty for nowhere"),
      Flag.optional
    ),
    socket: socketFlag
  },
  Effect.fn(function* ({ webhook, socket }) {
    if (Option.isSome(webhook)) return yield* setWebhook(socket, webhook.value)
    const all = yield* get<ReadonlyArray<Alert>>(socket, "/alerts")
    if (all.length === 0) return yield* Console.log("nothing is wrong")
    yield* Console.log(alertTable(all))
  })
).pipe(Command.withDescription("What is wrong with the cluster now; with --webhook, where it is told"))
