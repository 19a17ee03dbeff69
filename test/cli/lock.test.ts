/** Changing what seals a manager's disk, cut short wherever it can be: one key opens all of it at every moment. */
import { afterEach, beforeEach, expect, test } from "bun:test"
import { cpSync, readdirSync } from "node:fs"
import { Effect, Exit, Scope } from "effect"
import { openCredentials } from "#actors/authority/credentials.ts"
import { newUnlockKey } from "#actors/authority/lock.ts"
import { issueMembership, newRoots } from "#actors/authority/membership.ts"
import { type Held, readHeld, writeHeld } from "#actors/authority/store.ts"
import { newRequest } from "#actors/authority/x509.ts"
import { openLedger } from "#actors/ledger/ledger.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import { foundingCommands, usualSpec } from "#actors/manager/found.ts"
import { founding } from "#actors/raft/core/configuration.ts"
import { openGroup } from "#actors/raft/group.ts"
import { followLock, type Keyring, openHeld } from "#cli/lock.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { eventually } from "#test/support/engine.ts"
import { noWire } from "#test/support/no-wire.ts"
import { newDirectory, smallDisk } from "#test/support/raft-directory.ts"
import { someKeys, somePorts } from "#test/support/trust.ts"

const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => Effect.runPromise(effect)
const origin = { who: "local", why: "a test" }
const owner = { clusterId: "blue", nodeId: "n1" }

let directory: ReturnType<typeof newDirectory>
let scope: Scope.Closeable
beforeEach(() => {
  directory = newDirectory()
  scope = Effect.runSync(Scope.make())
})
afterEach(async () => {
  await run(Scope.close(scope, Exit.void))
  directory.remove()
})

/** A manager on a real disk, alone, that follows its lock; `cut` holds its disk as of before and after each step. */
async function aManager() {
  const dataDir = `${directory.path}/data`
  const roots = await run(newRoots(Date.now()))
  const { pem: csr, key } = await run(newRequest)
  const member = { ...owner, role: "manager", addresses: ["127.0.0.1"] } as const
  const grant = { member, csr, managers: [], now: Date.now(), expiryMs: 86_400_000 }
  const held: Held = {
    origin: "founded",
    ports: somePorts,
    membership: await run(issueMembership(roots, grant)),
    key
  }
  await run(writeHeld(dataDir, held))
  const opening = openLedger({
    openRaft: openGroup({ wire: noWire, initial: founding("n1"), disk: smallDisk }),
    directory: dataDir,
    ...owner,
    host: makeLiveHost(),
    boot: "b"
  })
  const ledger = await run(opening.pipe(Effect.provideService(Scope.Scope, scope)))
  await eventually(async () => (await run(Effect.result(ledger.readIndex)))._tag === "Success", "it leads")
  const founder = {
    ...{ id: "n1", addr: "127.0.0.1", keys: someKeys, ports: somePorts },
    availability: "active",
    description: {
      Hostname: "n1",
      Platform: {},
      Resources: { NanoCPUs: 1e9, MemoryBytes: 1e9 },
      Engine: { EngineVersion: "1" }
    }
  } as const
  const tokens = { Worker: "SWMTKN-1-w", Manager: "SWMTKN-1-m" }
  const [create] = foundingCommands({
    ...{ clusterId: "blue", ingressId: "i", addrPool: ["10.0.0.0/8"] },
    ...{ node: founder, roots, tokens }
  })
  if (create !== undefined) await run(ledger.propose(create, origin))

  const credentials = await run(openCredentials(dataDir, held))
  const cut: Array<string> = []
  const copied = <A, E>(step: Effect.Effect<A, E>): Effect.Effect<A, E> => {
    const copy = Effect.sync(() => {
      const to = `${directory.path}/cut-${cut.length}`
      cpSync(dataDir, to, { recursive: true })
      cut.push(to)
    })
    return copy.pipe(Effect.andThen(step), Effect.tap(copy))
  }
  const watched: LedgerService = {
    ...ledger,
    wrapKeys: (wrap) => copied(ledger.wrapKeys?.(wrap) ?? Effect.void)
  }
  const keyring: Keyring = { unlockKey: undefined }
  await run(
    followLock({ ...credentials, change: (by) => copied(credentials.change(by)) }, watched, keyring).pipe(
      Effect.provideService(Scope.Scope, scope)
    )
  )
  return { ledger, key, dataDir, keyring, credentials, cut }
}

const setKey = async (ledger: LedgerService, unlockKey: string | undefined) => {
  const version = ledger.read.cluster()?.Version.Index ?? 0
  const command = {
    type: "cluster.update",
    v: 1,
    version,
    spec: usualSpec,
    unlockKey: unlockKey ?? ""
  } as const
  expect((await run(ledger.propose(command, origin)))._tag).toBe("Applied")
}

/** The private key that the disk in `dataDir` gives to who has this unlock key, or none. */
const opened = async (dataDir: string, unlockKey: string | undefined): Promise<string | undefined> => {
  const held = await run(readHeld(dataDir))
  return held && openHeld(dataDir, held, { unlockKey })?.key
}

test("CA-17 CA-18 locked, locked by another key and unlocked again, it opens with the former key or the next, wherever it is cut", async () => {
  const { ledger, key, dataDir, keyring, credentials, cut } = await aManager()
  const keys = [undefined, newUnlockKey(), newUnlockKey(), undefined]
  for (const [at, next] of keys.entries()) {
    if (at === 0) continue
    const former = keys[at - 1]
    cut.length = 0
    await setKey(ledger, next)
    await eventually(
      () => keyring.unlockKey === next && (credentials.held().lock ?? [])[0] === next,
      "the disk is sealed as the cluster says"
    )
    await eventually(async () => (await opened(dataDir, next)) === key, "it opens with the next key")
    expect(cut.length).toBeGreaterThanOrEqual(4)
    for (const disk of cut) {
      const found = [await opened(disk, former), await opened(disk, next)]
      expect([disk, ...found]).toEqual([disk, ...found.map((one) => one && key)])
      expect(found).toContain(key)
    }
    if (next !== undefined) expect(await opened(dataDir, former)).toBeUndefined()
  }
  expect(readdirSync(dataDir)).toContain("node-key")
}, 60_000)
