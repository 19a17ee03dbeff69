/** `troupe alerts`: what is wrong with the cluster now, and where it is told. */
import { Console, Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { webhookLabel } from "#actors/alerts/protocol.ts"
import type { SwarmSpec } from "#actors/model/spec.ts"
import { get, post, socketFlag } from "#cli/client.ts"
import { jsonFlag, printJson } from "#cli/json-flag.ts"
import { type Alert, alertTable } from "#cli/print/alerts.ts"

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
    json: jsonFlag,
    socket: socketFlag
  },
  Effect.fn(function* ({ webhook, json, socket }) {
    if (Option.isSome(webhook)) return yield* setWebhook(socket, webhook.value)
    const all = yield* get<ReadonlyArray<Alert>>(socket, "/alerts")
    if (json) return yield* printJson(all)
    if (all.length === 0) return yield* Console.log("nothing is wrong")
    yield* Console.log(alertTable(all))
  })
).pipe(Command.withDescription("What is wrong with the cluster now; with --webhook, where it is told"))
