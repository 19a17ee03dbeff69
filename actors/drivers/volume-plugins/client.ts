/** One CSI plugin, asked over its socket: gRPC by `csi.proto`, time limits, and its refusals as `VolumePluginError`. */
import { fileURLToPath } from "node:url"
import type { ChannelCredentials } from "@grpc/grpc-js"
import { Effect, Schema } from "effect"
import { VolumePluginError } from "#actors/drivers/volume-plugins.ts"
import { ownFile } from "#runtime/platform.ts"

export type CsiService = "Identity" | "Controller" | "Node"

interface Failure {
  readonly code?: number
  readonly details?: string
  readonly message: string
}

type Respond = (failure: Failure | null, answer: unknown) => void
type Method = (
  request: unknown,
  options: { readonly deadline: number },
  respond: Respond
) => { readonly cancel: () => void }

interface Client {
  readonly close: () => void
  readonly [method: string]: unknown
}
type Clients = Readonly<Record<CsiService, new (address: string, how: ChannelCredentials) => Client>>

/** Names as in the file, numbers as numbers, and what was not said as its zero. */
export async function loadCsi() {
  const { loadSync } = await import("@grpc/proto-loader")
  return loadSync(fileURLToPath(ownFile("actors/drivers/volume-plugins/csi.proto")), {
    keepCase: true,
    longs: Number,
    defaults: true,
    oneofs: true
  })
}

/** gRPC takes some megabytes, and most nodes have no plugin. */
const loadGrpc = Effect.runSync(
  Effect.cached(
    Effect.promise(async () => {
      const { credentials, loadPackageDefinition, status } = await import("@grpc/grpc-js")
      const { csi } = loadPackageDefinition(await loadCsi()) as unknown as {
        readonly csi: { readonly v1: Clients }
      }
      return { services: csi.v1, credentials, status }
    })
  )
)

/** Storage takes its time; a plugin that is asked what it is has none to take. */
const withinMs = 120_000
export const quicklyMs = 3_000

export interface CsiQuestion<A> {
  readonly service: CsiService
  readonly method: string
  readonly request?: object
  readonly answer: Schema.Codec<A, unknown>
  readonly withinMs?: number
  /** What the plugin no longer knows is as it should be. */
  readonly mayBeGone?: boolean
}

/** Asks the plugin `name` behind `socket`. */
export const askPlugin = <A>(
  name: string,
  socket: string,
  question: CsiQuestion<A>
): Effect.Effect<A, VolumePluginError> => {
  const { service, method, request = {}, answer } = question
  const fail = (problem: string) =>
    new VolumePluginError({ message: `volume plugin ${name}: ${method}: ${problem}` })
  const asked = ({ services, credentials, status }: Effect.Success<typeof loadGrpc>) =>
    Effect.callback<unknown, VolumePluginError>((resume) => {
      const client = new services[service](`unix://${socket}`, credentials.createInsecure())
      const deadline = Date.now() + (question.withinMs ?? withinMs)
      const call = (client[method] as Method).call(client, request, { deadline }, (failure, said) => {
        client.close()
        if (failure === null) resume(Effect.succeed(said))
        else if (question.mayBeGone === true && failure.code === status.NOT_FOUND) resume(Effect.succeed({}))
        else resume(Effect.fail(fail(failure.details || failure.message)))
      })
      return Effect.sync(() => {
        call.cancel()
        client.close()
      })
    })
  return Effect.flatMap(loadGrpc, asked).pipe(
    Effect.flatMap((said) =>
      Schema.decodeUnknownEffect(answer)(said).pipe(
        Effect.mapError(() => fail("it answered something else than this question asks for"))
      )
    )
  )
}
