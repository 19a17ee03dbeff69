/** `troupe network-keys`: how long encrypted networks go by the same keys, and others at once. */
import { Console, Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { keyChangeLabel, keyPeriodLabel } from "#actors/model/network-keys.ts"
import type { SwarmSpec } from "#actors/model/spec.ts"
import { get, post, socketFlag } from "#cli/client.ts"

interface Swarm {
  readonly Version: { readonly Index: number }
  readonly Spec: SwarmSpec
}

export const networkKeys = Command.make(
  "network-keys",
  {
    rotate: Flag.Boolean("rotate").pipe(
      Flag.withDescription("every node makes another key, and traffic moves to it without a pause"),
      Flag.withDefault(false)
    ),
    period: Flag.String("period").pipe(
      Flag.withDescription("from now on, other keys after so long, like 12h; empty for the usual [12h]"),
      Flag.optional
    ),
    socket: socketFlag
  },
  Effect.fn(function* ({ rotate, period, socket }) {
    const { Version, Spec } = yield* get<Swarm>(socket, "/swarm")
    const labels = new Map(Object.entries(Spec.Labels ?? {}))
    if (rotate) labels.set(keyChangeLabel, new Date().toISOString())
    if (Option.isSome(period)) {
      if (period.value === "") labels.delete(keyPeriodLabel)
      else labels.set(keyPeriodLabel, period.value)
    }
    if (rotate || Option.isSome(period)) {
      const Labels = Object.fromEntries(labels)
      yield* post(socket, `/swarm/update?version=${Version.Index}`, { ...Spec, Labels })
    }
    yield* Console.log(`encrypted networks get other keys every ${labels.get(keyPeriodLabel) ?? "12h"}`)
    if (rotate) yield* Console.log("and now, as soon as every node has one of the present keys")
  })
).pipe(Command.withDescription("How long encrypted networks go by the same keys; with --rotate, others now"))
