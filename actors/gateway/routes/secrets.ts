/** `/secrets`: Engine API, tag Secret. Their data goes in and never comes out. */
import type { Route } from "#actors/gateway/gateway.ts"
import { fileRoutes } from "#actors/gateway/routes/files.ts"
import { secretText } from "#actors/gateway/shape/file.ts"
import { checkSecret } from "#actors/gateway/validate/check-file.ts"
import { refuseUntil } from "#actors/ledger/features.ts"
import { SecretSpec } from "#actors/model/spec.ts"

export const secretRoutes: ReadonlyArray<Route> = fileRoutes({
  kind: "secret",
  spec: SecretSpec,
  filters: ["id", "name", "names", "label"],
  check: checkSecret,
  postpone: (reader, { Driver }) =>
    Driver && refuseUntil(reader, "secret.create with a driver", `secret driver ${Driver.Name}`),
  text: secretText,
  create: (id, spec) => ({ type: "secret.create", v: 1, secret: { ID: id, Spec: spec } })
})
