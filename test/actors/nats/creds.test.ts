import { afterAll, expect, test } from "bun:test"
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import {
  listClients,
  newClient,
  ownCredentials,
  publicKeysOf,
  removeClient,
  usersOf
} from "#actors/nats/creds.ts"
import { freshDirectory, letIn } from "#test/actors/nats/support.ts"

const made: Array<string> = []
const directory = (): string => {
  const path = freshDirectory()
  made.push(path)
  return path
}
afterAll(() => {
  for (const path of made) rmSync(path, { recursive: true, force: true })
})

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
  const credentials = await letIn(dataDir, "grafana")
  const creds = join(dataDir, "nats", "creds")
  expect(readdirSync(creds)).toEqual(["of.cluster"])
  expect(readFileSync(join(creds, "of.cluster"), "utf8")).not.toContain(credentials.seed)
  expect(statSync(join(creds, "of.cluster")).mode & 0o777).toBe(0o600)
})

test("an unusable name is refused, and says why", () => {
  for (const name of ["../keys", "", "a.b", "x".repeat(33)]) {
    const made = Effect.runSync(Effect.flip(newClient({ name, readOnly: true, createdAt: "" })))
    expect(made.message).toContain("expected 1 to 32 letters")
  }
})

test("what an earlier release wrote for this node alone lets in still, and a file that cannot be used shuts out its client only", async () => {
  const dataDir = directory()
  const { publicKey } = await letIn(dataDir, "good")
  const creds = join(dataDir, "nats", "creds")
  const record = { name: "wrong", readOnly: false, publicKey: `U${"A".repeat(55)}`, createdAt: "" }
  const write = (file: string, text: string) => writeFileSync(join(creds, file), text)
  const { record: other } = Effect.runSync(newClient({ name: "other", readOnly: true, createdAt: "" }))
  write("other.json", JSON.stringify(other))
  write("broken.json", "{")
  write("wrong.json", JSON.stringify(record))
  write("twin.json", JSON.stringify({ ...record, name: "twin", publicKey }))
  write("good.json", JSON.stringify({ ...other, name: "good" }))
  const { clients, local, problems } = await Effect.runPromise(listClients(dataDir))
  expect(clients.map((client) => client.name)).toEqual(["good", "other"])
  expect(local).toEqual([other])
  expect(problems.map((problem) => /(\w+)\.json/.exec(problem)?.[1])).toEqual([
    "broken",
    "good",
    "twin",
    "wrong"
  ])
})

test("a client that has a node's key is left out: the server would not take any", async () => {
  const own = publicKeysOf(await Effect.runPromise(ownCredentials(directory(), "n1")))
  const client = { name: "thief", readOnly: true, publicKey: own.daemon, createdAt: "" }
  const users = usersOf("c1", [{ nodeId: "n1", raftId: "n1", keys: own }], [client])
  expect(users.map(({ publicKey }) => publicKey)).toEqual([own.daemon, own.api, own.raft, own.system])
})

test("removing a client that is not there is not an error", async () => {
  const dataDir = directory()
  await letIn(dataDir, "everywhere")
  const { record } = Effect.runSync(newClient({ name: "x", readOnly: true, createdAt: "" }))
  writeFileSync(join(dataDir, "nats", "creds", "x.json"), JSON.stringify(record))
  expect(await Effect.runPromise(removeClient(dataDir, "x"))).toBe(true)
  expect(await Effect.runPromise(removeClient(dataDir, "x"))).toBe(false)
})
