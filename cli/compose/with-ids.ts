import type { ContainerSpec } from "#actors/model/spec.ts"

type IdOf = (name: string | undefined) => string

/** The container with ids for the secrets and configs that it names: a Compose file has none, and the API wants them. */
export function withIds(
  container: ContainerSpec,
  { secret, config }: { readonly secret: IdOf; readonly config: IdOf }
): ContainerSpec {
  const { Secrets, Configs } = container
  return {
    ...container,
    ...(Secrets && { Secrets: Secrets.map((one) => ({ ...one, SecretID: secret(one.SecretName) })) }),
    ...(Configs && { Configs: Configs.map((one) => ({ ...one, ConfigID: config(one.ConfigName) })) })
  }
}
