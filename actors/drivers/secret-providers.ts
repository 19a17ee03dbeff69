/** Who keeps secrets outside the cluster: Docker's secret plugins, asked when a task is to be given one. */
import { Context, Effect, Schema } from "effect"

/** What a driver is told of the task that wants a secret, by the names of SwarmKit's `SecretsProviderRequest`. */
export interface SecretQuestion {
  readonly SecretName: string
  readonly SecretLabels: Readonly<Record<string, string>>
  readonly ServiceID: string
  readonly ServiceName: string
  readonly ServiceHostname: string
  readonly ServiceLabels: Readonly<Record<string, string>>
  readonly ServiceEndpointSpec: {
    readonly Mode: number
    readonly Ports: ReadonlyArray<Readonly<Record<string, string | number>>>
  }
  readonly TaskID: string
  readonly TaskName: string
  readonly TaskImage: string
  readonly NodeID: string
}

/** What a driver gave, base64; `own`: it is for this one task. Or why it gave nothing. */
export type Provision = { readonly data: string; readonly own: boolean } | { readonly problem: string }

export class SecretProviderError extends Schema.TaggedError<SecretProviderError>()("SecretProviderError", {
  message: Schema.String
}) {}

export interface SecretProvidersService {
  readonly ask: (
    driver: string,
    question: SecretQuestion
  ) => Effect.Effect<Extract<Provision, { readonly data: string }>, SecretProviderError>
}

/** By default there are none. */
export const SecretProviders = Context.Reference<SecretProvidersService>(
  "troupe/actors/drivers/SecretProviders",
  {
    defaultValue: () => ({
      ask: (driver) =>
        Effect.fail(new SecretProviderError({ message: `there is no secret driver ${driver}` }))
    })
  }
)
