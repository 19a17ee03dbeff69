/**
 * Where a machine's CSI plugins are: sockets in a folder, and plugins of its Engine that say what they are
 * (`docker.csinode/1.0`, `docker.csicontroller/1.0`). https://github.com/moby/moby/blob/master/docs/cluster_volumes.md
 */
import { readdir } from "node:fs/promises"
import { join } from "node:path"
import { Effect, Schema } from "effect"
import type { EngineClientService } from "#actors/drivers/engine/client.ts"

/** A plugin, and where it and this machine see a volume's two folders. */
export interface FoundPlugin {
  readonly name: string
  readonly socket: string
  /** As the plugin sees them; `id` is the cluster's id of the volume. */
  readonly stagingPath: (id: string) => string
  readonly targetPath: (id: string) => string
  /** As this machine sees the latter. */
  readonly hostPath: (id: string) => string
  /** Whether it sees the machine's own files: then its folders' parents are made for it. */
  readonly isHere: boolean
}

export interface PluginPlaces {
  /** Sockets of plugins that are processes of this machine, `NAME.sock`. */
  readonly sockets: string
  /** Where those mount volumes. */
  readonly mounts: string
  /** Of this machine; absent where there is none. */
  readonly engine?: Pick<EngineClientService, "call">
}

const capability = /^docker\.csi(?:node|controller)\//
/** Where the Engine puts sockets of its plugins, whatever its own folders are. */
const engineSockets = "/run/docker/plugins"
const staged = "/data/staged"
const published = "/data/published"

const optional = Schema.optionalKey
const text = Schema.String
/** `GET /plugins` */
const Plugins = Schema.Array(
  Schema.Struct({
    Id: optional(text),
    Name: text,
    Enabled: Schema.Boolean,
    Config: Schema.Struct({
      Interface: Schema.Struct({
        Socket: text,
        Types: optional(
          Schema.NullOr(
            Schema.Array(
              Schema.Union([text, Schema.Struct({ Prefix: text, Capability: text, Version: text })])
            )
          )
        )
      })
    })
  })
)
const Info = Schema.Struct({ DockerRootDir: text })

/** All of them, by name. What cannot be read is not there. */
export const findPlugins = Effect.fnUntraced(function* (places: PluginPlaces) {
  const found = yield* inFolder(places)
  if (places.engine === undefined) return found
  const managed = yield* ofEngine(places.engine).pipe(Effect.catch(() => Effect.succeed([])))
  const names = new Set(found.map(({ name }) => name))
  const all = [...found, ...managed.filter(({ name }) => !names.has(name))]
  return all.sort((a, b) => (a.name < b.name ? -1 : 1))
})

const inFolder = ({ sockets, mounts }: PluginPlaces): Effect.Effect<ReadonlyArray<FoundPlugin>> =>
  Effect.promise(() => readdir(sockets).catch(() => [])).pipe(
    Effect.map((files) =>
      files
        .filter((file) => file.endsWith(".sock"))
        .map((file) => ({
          name: file.slice(0, -".sock".length),
          socket: join(sockets, file),
          stagingPath: (id) => join(mounts, id, "staged"),
          targetPath: (id) => join(mounts, id, "published"),
          hostPath: (id) => join(mounts, id, "published"),
          isHere: true
        }))
    )
  )

const ofEngine = Effect.fnUntraced(function* (engine: Pick<EngineClientService, "call">) {
  const listed = yield* engine
    .call({ operation: "list plugins", method: "GET", path: "/plugins" })
    .pipe(Effect.flatMap(Schema.decodeUnknownEffect(Plugins)))
  const ours = listed.filter(
    ({ Enabled, Config }) =>
      Enabled && (Config.Interface.Types ?? []).some((type) => capability.test(typeOf(type)))
  )
  if (ours.length === 0) return []
  const { DockerRootDir } = yield* engine
    .call({ operation: "info", method: "GET", path: "/info" })
    .pipe(Effect.flatMap(Schema.decodeUnknownEffect(Info)))
  return ours.map(
    ({ Id = "", Name, Config }): FoundPlugin => ({
      name: Name.replace(/:latest$/, ""),
      socket: join(engineSockets, Id, Config.Interface.Socket),
      stagingPath: (id) => `${staged}/${id}`,
      targetPath: (id) => `${published}/${id}`,
      hostPath: (id) => join(DockerRootDir, "plugins", Id, "propagated-mount", id),
      isHere: false
    })
  )
})

const typeOf = (
  type: string | { readonly Prefix: string; readonly Capability: string; readonly Version: string }
) => (typeof type === "string" ? type : `${type.Prefix}.${type.Capability}/${type.Version}`)
