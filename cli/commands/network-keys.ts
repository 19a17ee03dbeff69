/** `troupe network-keys`: how long encrypted networks go by the same keys, and others at once. */
import { Console, Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { keyChangeLabel, keyPeriodLabel } from "#actors/model/network-keys.ts"
import { socketFlag } from "#cli/client.ts"
import { changeSwarmLabels } from "#cli/swarm-labels.ts"

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
    const labels = yield* changeSwarmLabels(socket, (all) => {
      if (rotate) all.set(keyChangeLabel, new Date().toISOString())
      if (Option.isNone(period)) return
      if (period.value === "") all.delete(keyPeriodLabel)
      else all.set(keyPeriodLabel, period.value)
    })
    yield* Console.log(`encrypted networks get other keys every ${labels.get(keyPeriodLabel) ?? "12h"}`)
    if (rotate) yield* Console.log("and now, as soon as every node has one of the present keys")
  })
).pipe(Command.withDescription("How long encrypted networks go by the same keys; with --rotate, others now"))
