/** The actor of the cluster's volumes, at `leader/volumes/main`. */
import { Effect } from "effect"
import { VolumePluginError, VolumePlugins } from "#actors/drivers/volume-plugins.ts"
import { carryOut } from "#actors/ledger/proposer.ts"
import { Ledger } from "#actors/ledger/service.ts"
import { decide, start, summary, type VolumesState } from "#actors/volumes/decide.ts"
import type {
  Observation,
  VolumeCall,
  VolumesAction,
  VolumesMessage,
  VolumesProps
} from "#actors/volumes/protocol.ts"
import { secretsOf } from "#actors/volumes/secrets-of.ts"
import { actor } from "#runtime/actor.ts"
import type { Address } from "#runtime/address.ts"

const perform = Effect.fn("volumes.perform")(function* (
  action: VolumesAction,
  self: Address
): Effect.fn.Return<VolumesMessage, never, Ledger> {
  if (action._tag === "Propose") return yield* carryOut(action, self)
  const { _tag: _call, ...call } = action
  return yield* ask(call).pipe(
    Effect.map((observation): VolumesMessage => ({ _tag: "Called", call, observation })),
    Effect.catch(({ message }) =>
      Effect.logWarning(`Cannot ${call.step} volume ${call.id}: ${message}`).pipe(
        Effect.as<VolumesMessage>({ _tag: "NotCalled", call, message })
      )
    )
  )
})

const ask = Effect.fnUntraced(function* (
  call: VolumeCall
): Effect.fn.Return<Observation, VolumePluginError, Ledger> {
  const { read } = yield* Ledger
  const plugins = yield* VolumePlugins
  const volume = read.get("volume", call.id)
  if (volume === undefined) return yield* new VolumePluginError({ message: "it has been removed" })
  const { id } = call
  const secrets = secretsOf(read, volume)
  if (call.step === "create") return { id, info: yield* plugins.create(volume.Spec, secrets) }
  const known = { driver: volume.Spec.Driver.Name ?? "", volumeId: volume.Info?.VolumeID ?? "", secrets }
  switch (call.step) {
    case "delete":
      yield* plugins.remove(known)
      return { id, deleted: true }
    case "publish": {
      const { VolumeContext: context = {} } = volume.Info ?? {}
      const whole = { ...known, context, accessMode: volume.Spec.AccessMode }
      const said = yield* plugins.publish(whole, call.plugin)
      return { id, nodes: [{ node: call.node, state: "published", context: said, plugin: call.plugin }] }
    }
    case "unpublish":
      yield* plugins.unpublish(known, call.plugin)
      return { id, nodes: [{ node: call.node, state: "unpublished" }] }
  }
})

export const volumes = actor<VolumesProps, VolumesState, VolumesMessage, VolumesAction, Ledger>({
  kind: "volumes",
  mailbox: { capacity: 65_536, overflow: { latest: ({ _tag }) => (_tag === "Look" ? _tag : undefined) } },
  start,
  decide,
  perform,
  summary
})
