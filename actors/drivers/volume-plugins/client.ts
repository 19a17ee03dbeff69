/** One CSI plugin, asked over its socket: gRPC by `csi.proto`, time limits, and its refusals as `VolumePluginError`. */
import { join } from "node:path"
import { type ChannelCredentials, credentials, loadPackageDefinition, status } from "@grpc/grpc-js"
import { loadSync } from "@grpc/proto-loader"
import { Effect, Schema } from "effect"
import { VolumePluginError } from "#actors/drivers/volume-plugins.ts"

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
export const csiDefinition = loadSync(join(import.meta.dirname, "csi.proto"), {
  keepCase: true,
  longs: Number,
  defaults: true,
  oneofs: true
})
const { csi } = loadPackageDefinition(csiDefinition) as unknown as {
  readonly csi: { readonly v1: Clients }
}

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
  return Effect.callback<unknown, VolumePluginError>((resume) => {
    const client = new csi.v1[service](`unix://${socket}`, credentials.createInsecure())
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
  }).pipe(
    Effect.flatMap((said) =>
      Schema.decodeUnknownEffect(answer)(said).pipe(
        Effect.mapError(() => fail("it answered something else than this question asks for"))
      )
    )
  )
}
