/** Logs that were set aside open with the key that opens the present one: when that changes, theirs changes with it. */
import { UnknownFormat } from "#actors/raft/storage/block.ts"
import { sameBytes } from "#actors/raft/storage/bytes.ts"
import { openReadable, Unreadable } from "#actors/raft/storage/inspect.ts"
import { encodeKeys } from "#actors/raft/storage/keys.ts"
import { names } from "#actors/raft/storage/layout.ts"
import { asideNames, type Place } from "#actors/raft/storage/set-aside.ts"
import { placeWhole } from "#actors/raft/storage/vfs.ts"

/**
 * Wraps the data keys of set-aside logs with `wrapper`, where a key file or `former` still opens them. Before the old
 * key goes: what it alone opened would be lost with it. One that nothing here opens stays as it is.
 */
export function rewrapAsides(place: Place, wrapper: Uint8Array, former?: Uint8Array): void {
  const { vfs, cipher, directory } = place
  for (const logName of asideNames(place)) {
    try {
      const log = openReadable({
        vfs,
        cipher,
        directory,
        logName,
        ...(former !== undefined && { unlockKey: former })
      })
      if (sameBytes(log.wrapper, wrapper)) continue
      placeWhole(vfs, log.directory, names.keys, encodeKeys(cipher, log.owner, wrapper, log.ring))
    } catch (error) {
      // Whatever is wrong with it, it is not the present log's.
      if (!(error instanceof Unreadable || error instanceof UnknownFormat)) throw error
    }
  }
}
