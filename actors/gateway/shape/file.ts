/** Secrets and configs as the Engine shows them: a config with its data, a secret never. */
import { configSpec, secretSpec } from "#actors/gateway/shape/layouts.ts"
import { type Layout, render } from "#actors/gateway/shape/render.ts"
import type { Config, Secret } from "#actors/model/objects.ts"

const texts = new WeakMap<Secret | Config, string>()

const write = (layout: Layout, object: Secret | Config): string => {
  const known = texts.get(object)
  if (known !== undefined) return known
  const text = JSON.stringify({
    ID: object.ID,
    Version: object.Version,
    CreatedAt: object.CreatedAt,
    UpdatedAt: object.UpdatedAt,
    Spec: render(layout, object.Spec, "out")
  })
  texts.set(object, text)
  return text
}

export const secretText = (secret: Secret): string => write(secretSpec, secret)
export const configText = (config: Config): string => write(configSpec, config)
