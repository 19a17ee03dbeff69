/** Clients of the cluster as a manager's nats-server is told of them. */
import { afterEach, expect, test } from "bun:test"
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { Effect, Exit, Scope } from "effect"
import { natsPaths } from "#actors/drivers/nats-server/paths.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import { clientSpec } from "#actors/nats/clients.ts"
import { newClient } from "#actors/nats/creds.ts"
import { followClients } from "#cli/nats-clients.ts"
import { freshDirectory, until } from "#test/actors/nats/support.ts"
import { Book } from "#test/support/ledger.ts"

const scope = Scope.makeUnsafe()
const dataDir = freshDirectory()
afterEach(async () => {
  await Effect.runPromise(Scope.close(scope, Exit.void))
  rmSync(dataDir, { recursive: true, force: true })
})

test("who is let in while the disk takes nothing is written down once it does", async () => {
  const book = new Book().cluster()
  const made = { name: "shop", readOnly: false, createdAt: "2026-01-01T00:00:00Z" }
  const { record } = await Effect.runPromise(newClient(made))
  book.must({ type: "config.create", v: 1, config: { ID: "c", Spec: clientSpec(record) } })
  const ledger = {
    read: book.tables,
    readIndex: Effect.succeed(0),
    follow: () => ({ unsubscribe: () => {} })
  } as unknown as LedgerService
  const { creds } = natsPaths(dataDir)
  mkdirSync(dirname(creds), { recursive: true })
  writeFileSync(creds, "not a directory")
  const looked = new Promise<void>((resolve) => {
    const all = book.tables.all.bind(book.tables)
    book.tables.all = ((kind: "config") => {
      resolve()
      return all(kind)
    }) as typeof book.tables.all
  })
  await Effect.runPromise(Scope.provide(followClients(dataDir, ledger, "20 millis"), scope))
  await looked
  rmSync(creds)
  mkdirSync(creds)
  const kept = (): string => {
    try {
      return readFileSync(join(creds, "of.cluster"), "utf8")
    } catch {
      return ""
    }
  }
  await until("it is written down", () => kept().includes(record.publicKey), 20_000)
  expect(kept()).toContain("shop")
}, 30_000)
