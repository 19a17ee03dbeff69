/** `/configs`: Engine API, tag Config. Inspecting one returns its data. */
import type { Route } from "#actors/gateway/gateway.ts"
import { fileRoutes } from "#actors/gateway/routes/files.ts"
import { configText } from "#actors/gateway/shape/file.ts"
import { checkConfig } from "#actors/gateway/validate/check-file.ts"
import { ConfigSpec } from "#actors/model/spec.ts"

export const configRoutes: ReadonlyArray<Route> = fileRoutes({
  kind: "config",
  spec: ConfigSpec,
  filters: ["id", "name", "label"],
  check: checkConfig,
  text: configText,
  create: (id, spec) => ({ type: "config.create", v: 1, config: { ID: id, Spec: spec } })
})
