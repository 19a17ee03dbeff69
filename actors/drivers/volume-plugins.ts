/** The CSI plugins of this machine: those that make volumes and publish them to nodes, and those that mount them here. */
import { Context, Effect, Schema } from "effect"
import type { NodeDescription, VolumeInfo } from "#actors/model/objects.ts"
import type { VolumeSpec } from "#actors/model/spec.ts"

/** The plugin is not there, or said no. Nothing of what it said may be secret but the words of its error. */
export class VolumePluginError extends Schema.TaggedError<VolumePluginError>()("VolumePluginError", {
  message: Schema.String
}) {}

type Texts = Readonly<Record<string, string>>

/** A volume as its plugin knows it. */
export interface PluginVolume {
  /** The plugin's name. */
  readonly driver: string
  /** The plugin's own name for the volume. */
  readonly volumeId: string
  readonly accessMode: VolumeSpec["AccessMode"]
  /** What the plugin said of the volume when it made it. */
  readonly context: Texts
  /** Values by key. */
  readonly secrets: Texts
}

export type CsiInfo = NonNullable<NodeDescription["CSIInfo"]>[number]
type Done<A> = Effect.Effect<A, VolumePluginError>

/** Each call is idempotent: asked again, it says that all is as it was asked to be. */
export interface VolumePluginsService {
  /** What the plugins of this machine know it by. One that does not answer is left out. */
  readonly describe: Effect.Effect<ReadonlyArray<CsiInfo>>
  /** Makes the volume, by its spec's name, which no other volume of the plugin has. */
  readonly create: (spec: VolumeSpec, secrets: Texts) => Done<VolumeInfo>
  readonly remove: (volume: Pick<PluginVolume, "driver" | "volumeId" | "secrets">) => Done<void>
  /** Brings the volume to a node, by the plugin's own name for that; what is to be said to the plugin there. */
  readonly publish: (volume: PluginVolume, nodeId: string) => Done<Texts>
  /** From all nodes where none is named. */
  readonly unpublish: (
    volume: Pick<PluginVolume, "driver" | "volumeId" | "secrets">,
    nodeId: string | undefined
  ) => Done<void>
  /** Mounts the volume on this machine; where. `id` is the cluster's id of the volume. */
  readonly mount: (id: string, volume: PluginVolume, publishContext: Texts) => Done<string>
  readonly unmount: (id: string, volume: Pick<PluginVolume, "driver" | "volumeId">) => Done<void>
  /** Unmounts whatever was mounted on this machine, also in an earlier life; what stayed, and why. */
  readonly letGo: Effect.Effect<ReadonlyArray<string>>
}

const none = (driver: string) =>
  Effect.fail(new VolumePluginError({ message: `there is no volume plugin ${driver} on this machine` }))

/** By default there are none. */
export const VolumePlugins = Context.Reference<VolumePluginsService>("troupe/actors/drivers/VolumePlugins", {
  defaultValue: () => ({
    describe: Effect.succeed([]),
    create: ({ Driver }) => none(Driver.Name ?? ""),
    remove: ({ driver }) => none(driver),
    publish: ({ driver }) => none(driver),
    unpublish: ({ driver }) => none(driver),
    mount: (_id, { driver }) => none(driver),
    unmount: (_id, { driver }) => none(driver),
    letGo: Effect.succeed([])
  })
})
