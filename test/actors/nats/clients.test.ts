import { expect, test } from "bun:test"
import { Effect } from "effect"
import type { Config } from "#actors/model/objects.ts"
import { clientSpec, clientsIn } from "#actors/nats/clients.ts"
import { newClient } from "#actors/nats/creds.ts"

const recordOf = (name: string) =>
  Effect.runSync(newClient({ name, readOnly: true, createdAt: "2026-01-01T00:00:00Z" })).record
const config = (Spec: Config["Spec"]): Config => ({
  ID: `id-${Spec.Name}`,
  Version: { Index: 1 },
  CreatedAt: "2026-01-01T00:00:00Z",
  UpdatedAt: "2026-01-01T00:00:00Z",
  Spec
})
const base64 = (text: string): string => Buffer.from(text).toString("base64")

test("clients are read from the configs that say so, by name", () => {
  const [b, a] = [recordOf("b"), recordOf("a")]
  const others = [config({ Name: "app", Data: base64("x") }), config({ Name: "troupe-nats-c", Data: "e30=" })]
  expect(clientsIn([config(clientSpec(b)), ...others, config(clientSpec(a))])).toEqual({
    clients: [a, b],
    problems: []
  })
})

test("a config that somebody wrote by hand and got wrong lets nobody in, and keeps nobody else out", () => {
  const good = recordOf("good")
  const wrong = (name: string, data: string) => config({ ...clientSpec({ ...good, name }), Data: data })
  const { clients, problems } = clientsIn([
    wrong("broken", "e"),
    wrong("empty", ""),
    config({ ...clientSpec(good), Name: "another" }),
    wrong("checksum", base64(JSON.stringify({ ...good, name: "checksum", publicKey: `U${"A".repeat(55)}` }))),
    wrong("twin", base64(JSON.stringify({ ...good, name: "twin" }))),
    config(clientSpec(good)),
    config({
      Name: "troupe-nats-a.b",
      Labels: { "troupe.nats.client": "" },
      Data: base64(JSON.stringify({ ...recordOf("x"), name: "a.b" }))
    })
  ])
  expect(clients).toEqual([good])
  expect(problems.map((each) => /config (\S+):/.exec(each)?.[1])).toEqual([
    "another",
    "troupe-nats-a.b",
    "troupe-nats-broken",
    "troupe-nats-checksum",
    "troupe-nats-empty",
    "troupe-nats-twin"
  ])
})
