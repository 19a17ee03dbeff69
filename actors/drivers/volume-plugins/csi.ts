/** Cluster volumes through CSI plugins: what each step is to a plugin, as far as it says that it takes that step. */
import { mkdir, readdir, readFile, rm, rmdir } from "node:fs/promises"
import { dirname, join } from "node:path"
import { Effect, Option, Schema } from "effect"
import { writePrivate } from "#actors/drivers/machine/files.ts"
import { askPlugin, type CsiQuestion, quicklyMs } from "#actors/drivers/volume-plugins/client.ts"
import { type FoundPlugin, findPlugins, type PluginPlaces } from "#actors/drivers/volume-plugins/find.ts"
import {
  type CsiInfo,
  type PluginVolume,
  VolumePluginError,
  type VolumePluginsService
} from "#actors/drivers/volume-plugins.ts"
import type { VolumeSpec } from "#actors/model/spec.ts"

const text = Schema.String
const Texts = Schema.Record(text, text)
const Topology = Schema.Struct({ segments: Texts })
const Nothing = Schema.Struct({})
const RpcCapabilities = Schema.Struct({
  capabilities: Schema.Array(Schema.Struct({ rpc: Schema.NullOr(Schema.Struct({ type: Schema.Int })) }))
})
const PluginCapabilities = Schema.Struct({
  capabilities: Schema.Array(Schema.Struct({ service: Schema.NullOr(Schema.Struct({ type: Schema.Int })) }))
})
const Created = Schema.Struct({
  volume: Schema.Struct({
    capacity_bytes: Schema.Int,
    volume_id: text,
    volume_context: Texts,
    accessible_topology: Schema.Array(Topology)
  })
})
const Published = Schema.Struct({ publish_context: Texts })
const NodeInfo = Schema.Struct({
  node_id: text,
  max_volumes_per_node: Schema.Int,
  accessible_topology: Schema.NullOr(Topology)
})

const controllerCan = { createAndDelete: 1, publishAndUnpublish: 2 } as const
const nodeCan = { stageAndUnstage: 1 } as const
const pluginHas = { accessibilityConstraints: 2 } as const

/** CSI's numbers: `VolumeCapability.AccessMode`. */
const modes = {
  single: { none: 1, readonly: 2, onewriter: 1, all: 1 },
  // While the one task that may use it moves, two nodes may have it.
  multi: { none: 4, readonly: 3, onewriter: 4, all: 5 }
} as const

const capabilityOf = ({ Scope, Sharing, MountVolume, BlockVolume }: VolumeSpec["AccessMode"]) => ({
  access_mode: { mode: modes[Scope][Sharing] },
  ...(BlockVolume === undefined
    ? { mount: { fs_type: MountVolume?.FsType ?? "", mount_flags: MountVolume?.MountFlags ?? [] } }
    : { block: {} })
})

const ask = <A>({ name, socket }: FoundPlugin, question: CsiQuestion<A>) => askPlugin(name, socket, question)

const can = (plugin: FoundPlugin, service: "Controller" | "Node", type: number) =>
  ask(plugin, {
    service,
    method: service === "Node" ? "NodeGetCapabilities" : "ControllerGetCapabilities",
    answer: RpcCapabilities,
    withinMs: quicklyMs
  }).pipe(Effect.map(({ capabilities }) => capabilities.some(({ rpc }) => rpc?.type === type)))

export const csiPlugins = (places: PluginPlaces): VolumePluginsService => {
  const find = Effect.fnUntraced(function* (driver: string) {
    const plugin = (yield* findPlugins(places)).find(({ name }) => name === driver)
    if (plugin !== undefined) return plugin
    return yield* new VolumePluginError({
      message: `there is no volume plugin ${driver}: expected ${places.sockets}/${driver}.sock, or a plugin of the Engine, on this machine`
    })
  })
  const records = recordsIn(places.mounts)
  const unmount = Effect.fn("csi.unmount")(function* (id: string, { driver, volumeId }: Mounted) {
    const plugin = yield* find(driver)
    const [target, staging] = [plugin.targetPath(id), plugin.stagingPath(id)]
    const gone = { service: "Node", answer: Nothing, mayBeGone: true } as const
    const published = { volume_id: volumeId, target_path: target }
    yield* ask(plugin, { ...gone, method: "NodeUnpublishVolume", request: published })
    if (yield* can(plugin, "Node", nodeCan.stageAndUnstage)) {
      const request = { volume_id: volumeId, staging_target_path: staging }
      yield* ask(plugin, { ...gone, method: "NodeUnstageVolume", request })
    }
    if (plugin.isHere) yield* clear(target, staging)
    yield* records.forget(id)
  })
  return {
    describe: Effect.suspend(() =>
      findPlugins(places).pipe(
        Effect.flatMap(Effect.forEach(describe, { concurrency: "unbounded" })),
        Effect.map((all) => all.flat())
      )
    ),
    create: (spec, secrets) =>
      Effect.flatMap(find(spec.Driver.Name ?? ""), (plugin) => create(plugin, spec, secrets)),
    remove: Effect.fn("csi.remove")(function* ({ driver, volumeId, secrets }) {
      const plugin = yield* find(driver)
      if (!(yield* can(plugin, "Controller", controllerCan.createAndDelete))) return
      const request = { volume_id: volumeId, secrets }
      yield* ask(plugin, {
        service: "Controller",
        method: "DeleteVolume",
        request,
        answer: Nothing,
        mayBeGone: true
      })
    }),
    publish: Effect.fn("csi.publish")(function* (volume, nodeId) {
      const plugin = yield* find(volume.driver)
      if (!(yield* can(plugin, "Controller", controllerCan.publishAndUnpublish))) return {}
      const { publish_context } = yield* ask(plugin, {
        service: "Controller",
        method: "ControllerPublishVolume",
        request: {
          volume_id: volume.volumeId,
          node_id: nodeId,
          volume_capability: capabilityOf(volume.accessMode),
          // PUBLISH_READONLY would have to be there; the mount on the node is read-only either way.
          readonly: false,
          secrets: volume.secrets,
          volume_context: volume.context
        },
        answer: Published
      })
      return publish_context
    }),
    unpublish: Effect.fn("csi.unpublish")(function* ({ driver, volumeId, secrets }, nodeId) {
      const plugin = yield* find(driver)
      if (!(yield* can(plugin, "Controller", controllerCan.publishAndUnpublish))) return
      const request = { volume_id: volumeId, node_id: nodeId ?? "", secrets }
      yield* ask(plugin, {
        service: "Controller",
        method: "ControllerUnpublishVolume",
        request,
        answer: Nothing,
        mayBeGone: true
      })
    }),
    mount: Effect.fnUntraced(function* (id, volume, publishContext) {
      const plugin = yield* find(volume.driver)
      yield* records.keep(id, volume)
      return yield* mount(plugin, id, volume, publishContext)
    }),
    unmount,
    letGo: Effect.gen(function* () {
      const problems: Array<string> = []
      for (const [id, volume] of yield* records.all) {
        yield* unmount(id, volume).pipe(
          Effect.catch(({ message }) => Effect.sync(() => void problems.push(`volume ${id}: ${message}`)))
        )
      }
      return problems
    })
  }
}

/** What it takes to have a volume unmounted, wherever its plugin mounts it. */
const Mounted = Schema.Struct({ driver: text, volumeId: text })
type Mounted = typeof Mounted.Type
const decodeMounted = Schema.decodeUnknownOption(Schema.fromJsonString(Mounted))

/** What this machine has mounted, a file each: whoever ends here may never have heard of it from the leader. */
const recordsIn = (folder: string) => {
  const suffix = ".json"
  const fileOf = (id: string): string => join(folder, `${id}${suffix}`)
  const all = Effect.promise(async () => {
    const found = new Map<string, Mounted>()
    for (const name of await readdir(folder).catch(() => [])) {
      if (!name.endsWith(suffix)) continue
      const read = decodeMounted(await readFile(join(folder, name), "utf8").catch(() => ""))
      if (Option.isSome(read)) found.set(name.slice(0, -suffix.length), read.value)
    }
    return found
  })
  return {
    all,
    keep: (id: string, { driver, volumeId }: Mounted) =>
      Effect.andThen(
        make(folder),
        Effect.try({
          try: () => writePrivate(fileOf(id), JSON.stringify({ driver, volumeId })),
          catch: (cause) =>
            new VolumePluginError({ message: `cannot write ${fileOf(id)}: ${(cause as Error).message}` })
        })
      ),
    forget: (id: string) => Effect.promise(() => rm(fileOf(id), { force: true }))
  }
}

/** What the plugin knows this machine by; nothing of one that mounts nothing here, or does not answer. */
const describe = (plugin: FoundPlugin): Effect.Effect<ReadonlyArray<CsiInfo>> =>
  ask(plugin, { service: "Node", method: "NodeGetInfo", answer: NodeInfo, withinMs: quicklyMs }).pipe(
    Effect.map(({ node_id, max_volumes_per_node: most, accessible_topology: topology }) => [
      {
        PluginName: plugin.name,
        NodeID: node_id,
        ...(most > 0 ? { MaxVolumesPerNode: most } : {}),
        ...(topology === null ? {} : { AccessibleTopology: { Segments: topology.segments } })
      }
    ]),
    Effect.catch(({ message }) => Effect.as(Effect.logDebug(message), []))
  )

const create = Effect.fn("csi.create")(function* (
  plugin: FoundPlugin,
  spec: VolumeSpec,
  secrets: Readonly<Record<string, string>>
) {
  const { AccessibilityRequirements: where, CapacityRange: range } = spec
  const requirements = {
    requisite: (where?.Requisite ?? []).map(({ Segments = {} }) => ({ segments: Segments })),
    preferred: (where?.Preferred ?? []).map(({ Segments = {} }) => ({ segments: Segments }))
  }
  const isPlaced = requirements.requisite.length + requirements.preferred.length > 0
  if (isPlaced && !(yield* isChoosy(plugin))) {
    return yield* new VolumePluginError({
      message: `volume plugin ${plugin.name}: expected no topology: its volumes are the same everywhere`
    })
  }
  const { volume } = yield* ask(plugin, {
    service: "Controller",
    method: "CreateVolume",
    request: {
      name: spec.Name,
      ...(range === undefined
        ? {}
        : {
            capacity_range: { required_bytes: range.RequiredBytes ?? 0, limit_bytes: range.LimitBytes ?? 0 }
          }),
      volume_capabilities: [capabilityOf(spec.AccessMode)],
      parameters: spec.Driver.Options ?? {},
      secrets,
      ...(isPlaced ? { accessibility_requirements: requirements } : {})
    },
    answer: Created
  })
  return {
    VolumeID: volume.volume_id,
    CapacityBytes: volume.capacity_bytes,
    VolumeContext: volume.volume_context,
    AccessibleTopology: volume.accessible_topology.map(({ segments }) => ({ Segments: segments }))
  }
})

const isChoosy = (plugin: FoundPlugin) =>
  ask(plugin, { service: "Identity", method: "GetPluginCapabilities", answer: PluginCapabilities }).pipe(
    Effect.map(({ capabilities }) =>
      capabilities.some(({ service }) => service?.type === pluginHas.accessibilityConstraints)
    )
  )

const mount = Effect.fn("csi.mount")(function* (
  plugin: FoundPlugin,
  id: string,
  { volumeId, accessMode, context, secrets }: PluginVolume,
  publishContext: Readonly<Record<string, string>>
) {
  const [target, staging] = [plugin.targetPath(id), plugin.stagingPath(id)]
  const common = {
    volume_id: volumeId,
    publish_context: publishContext,
    volume_capability: capabilityOf(accessMode),
    secrets,
    volume_context: context
  }
  const stages = yield* can(plugin, "Node", nodeCan.stageAndUnstage)
  // CSI: the staging folder is there, and so is the one that the target will be in.
  if (plugin.isHere) yield* make(stages ? staging : dirname(target))
  if (stages) {
    const request = { ...common, staging_target_path: staging }
    yield* ask(plugin, { service: "Node", method: "NodeStageVolume", request, answer: Nothing })
  }
  yield* ask(plugin, {
    service: "Node",
    method: "NodePublishVolume",
    request: {
      ...common,
      ...(stages ? { staging_target_path: staging } : {}),
      target_path: target,
      readonly: accessMode.Sharing === "readonly"
    },
    answer: Nothing
  })
  return plugin.hostPath(id)
})

const make = (path: string) =>
  Effect.tryPromise({
    try: () => mkdir(path, { recursive: true, mode: 0o700 }),
    catch: (cause) => new VolumePluginError({ message: `cannot make ${path}: ${(cause as Error).message}` })
  })

/** Only what is empty: whatever the plugin left mounted stays. */
const clear = (target: string, staging: string) =>
  Effect.promise(async () => {
    for (const path of [target, staging, dirname(target)]) await rmdir(path).catch(() => {})
    // Where a volume was a device, its target was a file.
    await rm(target).catch(() => {})
    await rmdir(dirname(target)).catch(() => {})
  })
