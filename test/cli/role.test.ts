import { afterAll, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Queue } from "effect"
import { openCredentials } from "#actors/authority/credentials.ts"
import { type Held, readHeld } from "#actors/authority/store.ts"
import type { Standing } from "#actors/node/session/protocol.ts"
import type { NodeOptions } from "#cli/node-options.ts"
import { followRole } from "#cli/role.ts"
import type { SystemService } from "#runtime/system.ts"
import { until } from "#test/support/nats-server.ts"
import { somePorts } from "#test/support/trust.ts"

const dataDir = mkdtempSync(join(tmpdir(), "troupe-role-"))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

test("a promoted worker asks for its place only once it can write down what it is given", async () => {
  const membership = {
    nodeId: "n1",
    clusterId: "blue",
    role: "worker",
    certificate: "",
    root: "",
    managers: []
  } as const
  const held: Held = { origin: "joined", ports: somePorts, membership, key: "" }
  const credentials = await Effect.runPromise(openCredentials(dataDir, held))
  let asked = 0
  const system = {
    ask: () =>
      Effect.sync(() => {
        asked += 1
        return { _tag: "Renewed", membership: { ...membership, role: "manager", raftId: `r${asked}` } }
      })
  } as unknown as SystemService
  let tried = 0
  const observed = {
    ...credentials,
    change: (by: (held: Held) => Held) => {
      tried += 1
      return credentials.change(by)
    }
  }
  // Nothing can be written where a file is in the way.
  writeFileSync(join(dataDir, "trust"), "")
  const options = { advertiseAddr: "10.0.0.1" } as NodeOptions
  const standings = await Effect.runPromise(Queue.unbounded<Standing>())
  Queue.offerUnsafe(standings, { role: "manager" })
  const following = Effect.runPromise(followRole({ options, credentials: observed, system }, standings))
  await until(() => tried + asked >= 2)
  expect(asked).toBe(0)
  rmSync(join(dataDir, "trust"))
  await following
  expect(asked).toBe(1)
  expect((await Effect.runPromise(readHeld(dataDir)))?.membership.raftId).toBe("r1")
})
