/** The cluster volumes of one node: `<node>/mounts/main`. */
import { Effect } from "effect"
import { Executor } from "#actors/drivers/executor.ts"
import { volumesLabel } from "#actors/drivers/labels.ts"
import { VolumePluginError, VolumePlugins } from "#actors/drivers/volume-plugins.ts"
import { decide, start, summary } from "#actors/volumes/mounts/decide.ts"
import type { MountsAction, MountsMessage } from "#actors/volumes/mounts/protocol.ts"
import { actor } from "#runtime/actor.ts"

const perform = (action: MountsAction): Effect.Effect<MountsMessage, never, Executor> =>
  carryOut(action).pipe(
    Effect.catch(({ message }) =>
      Effect.logWarning(`Cannot ${action._tag.toLowerCase()} volume ${action.volume.id}: ${message}`).pipe(
        Effect.as<MountsMessage>({ _tag: "Refused", id: action.volume.id, message })
      )
    )
  )

const carryOut = Effect.fn("mounts.perform")(function* ({ _tag, volume }: MountsAction) {
  const plugins = yield* VolumePlugins
  const { id, publishContext } = volume
  if (_tag === "Mount") {
    const path = yield* plugins.mount(id, volume, publishContext)
    return { _tag: "MountDone", id, path } satisfies MountsMessage
  }
  const executor = yield* Executor
  for (const { name, status, labels } of yield* executor.list) {
    const runs = status === "running" || status === "paused" || status === "restarting"
    if (runs && labels[volumesLabel]?.split(",").includes(id) === true) {
      return yield* new VolumePluginError({ message: `container ${name} uses it still` })
    }
  }
  yield* plugins.unmount(id, volume)
  return { _tag: "UnmountDone", id } satisfies MountsMessage
})

export const mounts = actor({
  kind: "mounts",
  mailbox: { capacity: 8_192 },
  start,
  decide,
  perform,
  secrets: (message: MountsMessage) =>
    message._tag === "Keep" && message.volumes.some(({ secrets }) => Object.keys(secrets).length > 0),
  summary
})
