/**
 * Autolock: a manager's log and its private key are sealed on its disk by a key that people keep, as long as the ledger
 * says so. A start then waits for that key.
 *
 * Changing keys is cut short anywhere without harm: at each step one key opens all, the former or the next.
 */
import { Effect } from "effect"
import type { CredentialsService } from "#actors/authority/credentials.ts"
import { openWith, parseUnlockKey } from "#actors/authority/lock.ts"
import type { Held } from "#actors/authority/store.ts"
import { caughtUp } from "#actors/ledger/following.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import { nodeCipher } from "#actors/raft/storage/cipher-node.ts"
import { canOpen } from "#actors/raft/storage/inspect.ts"
import { nodeVfs } from "#actors/raft/storage/vfs-node.ts"
import type { WrapWith } from "#actors/raft/storage.ts"
import { atNews, newsOf } from "#cli/ledger-news.ts"

/** The key that opens this node's disk, as long as its process lives; absent where a file beside it does. */
export interface Keyring {
  unlockKey: string | undefined
}

export const bytesOf = (unlockKey: string | undefined): Uint8Array | undefined =>
  unlockKey === undefined ? undefined : parseUnlockKey(unlockKey)

/** Opens what this node holds with what is on the keyring; `undefined` when that does not open all of it. */
export function openHeld(dataDir: string, held: Held, { unlockKey }: Keyring): Held | undefined {
  if (held.membership.role !== "manager") return held
  const bytes = bytesOf(unlockKey)
  if (!canOpen({ vfs: nodeVfs, cipher: nodeCipher, directory: dataDir, ...(bytes && { unlockKey: bytes }) }))
    return undefined
  const { sealedKeys = [], ...rest } = held
  if (sealedKeys.length === 0) return held
  if (unlockKey === undefined) return undefined
  for (const sealed of sealedKeys) {
    const key = openWith(unlockKey, sealed)
    if (key !== undefined) return { ...rest, key, lock: [unlockKey] }
  }
  return undefined
}

/** Seals and opens this manager's disk as the ledger says, now and whenever that changes, until the scope closes. */
export const followLock = Effect.fn("cli.followLock")(function* (
  credentials: CredentialsService,
  ledger: LedgerService,
  keyring: Keyring
) {
  const { wrapKeys } = ledger
  if (wrapKeys === undefined) return
  const news = yield* newsOf(ledger, ({ kind }) => kind === "cluster")
  const lockedBy = (lock: ReadonlyArray<string>) =>
    credentials.change(({ lock: _former, ...held }) => (lock.length === 0 ? held : { ...held, lock }))
  const settle = Effect.gen(function* () {
    const cluster = ledger.read.cluster()
    if (cluster === undefined) return
    const next = cluster.UnlockKey
    const before = credentials.held().lock ?? []
    const isSettled = before.length === (next === undefined ? 0 : 1) && before[0] === next
    if (keyring.unlockKey === next && isSettled) return
    // The private key opens with either, until the log opens with the next one only.
    if (next === undefined) yield* lockedBy([])
    else if (before.length > 0) yield* lockedBy([...new Set([...before, next])])
    yield* wrapKeys(wrapOf(next))
    keyring.unlockKey = next
    if (next !== undefined) yield* lockedBy([next])
    yield* Effect.logInfo(
      next === undefined
        ? "This manager's disk is locked no longer"
        : "This manager's disk is locked by the cluster's unlock key"
    )
  })
  // A ledger that is behind may not know yet that there is a lock, or know a key that people have thrown away.
  yield* caughtUp(ledger).pipe(Effect.andThen(atNews(news, settle)), Effect.forkScoped)
})

function wrapOf(unlockKey: string | undefined): WrapWith {
  const key = bytesOf(unlockKey)
  return key === undefined ? { _tag: "KeyFile" } : { _tag: "UnlockKey", key }
}
