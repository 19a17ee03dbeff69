import { afterAll, expect, test } from "bun:test"
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { createClient, listClients, ownCredentials, removeClient } from "#actors/nats/creds.ts"
import { freshDirectory } from "#test/actors/nats/support.ts"

const made: Array<string> = []
const directory = (): string => {
  const path = freshDirectory()
  made.push(path)
  return path
}
afterAll(() => {
  for (const path of made) rmSync(path, { recursive: true, force: true })
})

const create = (dataDir: string, name: string, readOnly = false) =>
  Effect.runPromise(createClient({ dataDir, name, readOnly, createdAt: "2026-01-01T00:00:00Z" }))

test("the daemon's own credentials are made once, and kept where only their owner reads them", async () => {
  const dataDir = directory()
  const first = await Effect.runPromise(ownCredentials(dataDir, "n1"))
  const second = await Effect.runPromise(ownCredentials(dataDir, "n1"))
  expect(second).toEqual(first)
  expect(first.daemon.seed).not.toBe(first.api.seed)
  expect(statSync(join(dataDir, "nats", "keys.json")).mode & 0o777).toBe(0o600)
  expect(statSync(join(dataDir, "nats")).mode & 0o777).toBe(0o700)
})

test("a client's seed is handed out and not kept", async () => {
  const dataDir = directory()
  const credentials = await create(dataDir, "grafana")
  const creds = join(dataDir, "nats", "creds")
  expect(readdirSync(creds)).toEqual(["grafana.json"])
  expect(readFileSync(join(creds, "grafana.json"), "utf8")).not.toContain(credentials.seed)
  expect(statSync(join(creds, "grafana.json")).mode & 0o777).toBe(0o600)
})

test("a taken or unusable name is refused, and says why", async () => {
  const dataDir = directory()
  await create(dataDir, "grafana")
  expect(create(dataDir, "grafana")).rejects.toThrow('name "grafana" is taken')
  expect(create(dataDir, "../keys")).rejects.toThrow("expected 1 to 32 letters")
  expect(create(dataDir, "")).rejects.toThrow("expected 1 to 32 letters")
})

test("a file that cannot be used shuts out its client only", async () => {
  const dataDir = directory()
  await create(dataDir, "good")
  const { publicKey } = await create(dataDir, "other")
  const creds = join(dataDir, "nats", "creds")
  writeFileSync(join(creds, "broken.json"), "{")
  const record = { name: "wrong", readOnly: false, publicKey: `U${"A".repeat(55)}`, createdAt: "" }
  writeFileSync(join(creds, "wrong.json"), JSON.stringify(record))
  writeFileSync(join(creds, "twin.json"), JSON.stringify({ ...record, name: "twin", publicKey }))
  const { clients, problems } = await Effect.runPromise(listClients(dataDir))
  expect(clients.map((client) => client.name)).toEqual(["good", "other"])
  expect(problems.map((problem) => /(\w+)\.json/.exec(problem)?.[1])).toEqual(["broken", "twin", "wrong"])
})

test("removing a client that is not there is not an error", async () => {
  const dataDir = directory()
  await create(dataDir, "x")
  expect(await Effect.runPromise(removeClient(dataDir, "x"))).toBe(true)
  expect(await Effect.runPromise(removeClient(dataDir, "x"))).toBe(false)
})
