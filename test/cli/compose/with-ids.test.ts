import { expect, test } from "bun:test"
import { withIds } from "#cli/compose/with-ids.ts"

test("secrets and configs get the ids of their own kind, and all else stays", () => {
  const container = {
    Image: "a",
    Secrets: [{ SecretName: "key", SecretID: "" }],
    Configs: [{ ConfigName: "page", ConfigID: "" }]
  }
  const ids = { secret: (name = "") => `secret ${name}`, config: (name = "") => `config ${name}` }
  expect(withIds(container, ids)).toEqual({
    Image: "a",
    Secrets: [{ SecretName: "key", SecretID: "secret key" }],
    Configs: [{ ConfigName: "page", ConfigID: "config page" }]
  })
  expect(withIds({ Image: "a" }, ids)).toEqual({ Image: "a" })
})
