/**
 * Secret plugins in Docker's folders: a socket, or a file that names one. Each is a process that answers HTTP,
 * https://docs.docker.com/engine/extend/plugin_api/; what it is asked is SwarmKit's `SecretProvider.GetSecret`.
 */
import { existsSync } from "node:fs"
import { readFile } from "node:fs/promises"
import http from "node:http"
import { join } from "node:path"
import { Effect, Schema } from "effect"
import { SecretProviderError, type SecretProvidersService } from "#actors/drivers/secret-providers.ts"

export interface PluginPlaces {
  /** Where sockets lie, as `NAME.sock` or `NAME/NAME.sock`. */
  readonly sockets: string
  /** Where files lie that name a socket, `NAME.spec`. */
  readonly specs: ReadonlyArray<string>
}

const dockerPlaces: PluginPlaces = {
  sockets: "/run/docker/plugins",
  specs: ["/etc/docker/plugins", "/usr/lib/docker/plugins"]
}

const answerWithin = "10 seconds"
const capability = "secretprovider"
/** As for secrets that the cluster keeps. */
const mostBytes = 500 * 1024
const pluginName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/

const Activation = Schema.Struct({
  Implements: Schema.optionalKey(Schema.NullOr(Schema.Array(Schema.String)))
})
const Answer = Schema.Struct({
  /** Base64. */
  Value: Schema.optionalKey(Schema.NullOr(Schema.String)),
  Err: Schema.optionalKey(Schema.String),
  DoNotReuse: Schema.optionalKey(Schema.Boolean)
})

const fail = (message: string) => Effect.fail(new SecretProviderError({ message }))

export const secretPlugins = (places: PluginPlaces = dockerPlaces): SecretProvidersService => ({
  ask: Effect.fn("secretPlugins.ask")(function* (driver, question) {
    const socket = yield* socketOf(places, driver)
    const { Implements } = yield* say(driver, socket, "/Plugin.Activate", undefined, Activation)
    if (!(Implements ?? []).includes(capability)) return yield* fail(`plugin ${driver} keeps no secrets`)
    const { Value, Err, DoNotReuse } = yield* say(
      driver,
      socket,
      "/SecretProvider.GetSecret",
      question,
      Answer
    )
    if (Err) return yield* fail(`plugin ${driver} refused: ${Err}`)
    const data = Value ?? ""
    const size = Buffer.from(data, "base64").length
    if (size < 1 || size >= mostBytes) {
      return yield* fail(
        `plugin ${driver} gave ${size} bytes: expected more than 0 and less than ${mostBytes}`
      )
    }
    return { data, own: DoNotReuse === true }
  })
})

const socketOf = Effect.fnUntraced(function* ({ sockets, specs }: PluginPlaces, driver: string) {
  if (!pluginName.test(driver)) return yield* fail(`secret driver '${driver}': expected the name of a plugin`)
  const found = [join(sockets, `${driver}.sock`), join(sockets, driver, `${driver}.sock`)].find(existsSync)
  if (found !== undefined) return found
  for (const folder of specs) {
    const text = yield* Effect.promise(() => readFile(join(folder, `${driver}.spec`), "utf8").catch(() => ""))
    if (text.startsWith("unix://")) return text.slice("unix://".length).trim()
  }
  return yield* fail(
    `there is no secret driver ${driver}: no ${join(sockets, driver)}.sock on the leader's machine`
  )
})

const say = <A>(
  driver: string,
  socketPath: string,
  path: string,
  body: unknown,
  schema: Schema.Codec<A, unknown>
): Effect.Effect<A, SecretProviderError> =>
  Effect.tryPromise({
    try: (abort) => post(socketPath, path, body, abort),
    catch: (error) => (error as Error).message
  }).pipe(
    Effect.timeoutOrElse({
      duration: answerWithin,
      orElse: () => Effect.fail(`no answer within ${answerWithin}`)
    }),
    // What a plugin said may be secret: it is not quoted.
    Effect.flatMap((text) =>
      Schema.decodeUnknownEffect(Schema.fromJsonString(schema))(text).pipe(
        Effect.mapError(() => "it answered something else than this question asks for")
      )
    ),
    Effect.mapError(
      (problem) => new SecretProviderError({ message: `plugin ${driver}: ${path}: ${problem}` })
    )
  )

function post(socketPath: string, path: string, body: unknown, signal: AbortSignal): Promise<string> {
  const bytes = body === undefined ? "" : JSON.stringify(body)
  const headers = {
    host: "plugin",
    accept: "application/vnd.docker.plugins.v1.2+json",
    "content-type": "application/vnd.docker.plugins.v1.2+json",
    "content-length": Buffer.byteLength(bytes)
  }
  return new Promise((resolve, reject) => {
    const request = http.request(
      { socketPath, path, method: "POST", agent: false, headers, signal },
      (response) => {
        let text = ""
        response.setEncoding("utf8")
        response.on("data", (part: string) => {
          text += part
          if (text.length > 2 * mostBytes) request.destroy(new Error("it said more than a secret holds"))
        })
        response.on("error", reject)
        response.on("end", () => {
          if (response.statusCode === 200) resolve(text)
          else reject(new Error(`status ${response.statusCode}`))
        })
      }
    )
    request.on("error", reject)
    request.end(bytes)
  })
}
