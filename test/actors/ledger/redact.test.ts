import { expect, test } from "bun:test"
import { redact, redacted } from "#actors/ledger/redact.ts"

const canary = "canary-71d0c5"

test("payloads, tokens, credentials and keys are left out, however deep, and the rest stays", () => {
  const shown = redact({
    type: "secret.create",
    v: 1,
    secret: { ID: "s1", Spec: { Name: "db", Labels: { tier: "one" }, Data: canary } },
    tokens: { Worker: canary, Manager: canary },
    cluster: { JoinTokens: { Worker: canary, Manager: { next: [canary] } }, RootCAKey: canary },
    registryAuth: canary,
    service: { RegistryAuth: canary, PreviousRegistryAuth: canary, seed: [1, 2, 3] },
    CAConfig: { SigningCAKey: canary, SigningCACert: "public" },
    Labels: { "troupe.alerts.webhook": canary },
    TLSInfo: { CertIssuerPublicKey: "shown" }
  })
  expect(JSON.stringify(shown)).not.toContain(canary)
  expect(shown).toMatchObject({
    type: "secret.create",
    v: 1,
    secret: { ID: "s1", Spec: { Name: "db", Labels: { tier: "one" }, Data: redacted } },
    service: { seed: [redacted, redacted, redacted] },
    CAConfig: { SigningCACert: "public" },
    TLSInfo: { CertIssuerPublicKey: "shown" }
  })
})

test("of an environment, values are left out whose names say that they are to be kept", () => {
  expect(
    redact({
      Env: [`DB_PASSWORD=${canary}=x`, "LEVEL=debug", `API_TOKEN=${canary}`, "EMPTY", "SECRET_KEY_BASE="]
    })
  ).toEqual({
    Env: [
      `DB_PASSWORD=${redacted}`,
      "LEVEL=debug",
      `API_TOKEN=${redacted}`,
      "EMPTY",
      `SECRET_KEY_BASE=${redacted}`
    ]
  })
})

test("names of secrets and where they go are no secrets", () => {
  const task = { Secrets: [{ SecretID: "s1", SecretName: "db", File: { Name: "db", UID: "0" } }] }
  expect(redact(task)).toEqual(task)
})
