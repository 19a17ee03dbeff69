/**
 * The key in the node's data directory that wraps the data keys, unless people hold that key. A new one is put
 * beside the old before the data keys are wrapped anew, and takes its place after: at any moment one of the two
 * opens them.
 */
import { hex, utf8 } from "#actors/raft/storage/bytes.ts"
import { keyBytes } from "#actors/raft/storage/keys.ts"
import { placeWhole, readWhole, type Vfs } from "#actors/raft/storage/vfs.ts"

export const keyFileName = "node-key"
const nextKeyFileName = "node-key.next"

const keyText = /^[0-9a-f]{64}\n?$/

function readKey(vfs: Vfs, directory: string, name: string): Uint8Array | undefined {
  if (!vfs.list(directory).includes(name)) return undefined
  const text = new TextDecoder().decode(readWhole(vfs, `${directory}/${name}`))
  if (!keyText.test(text)) return undefined
  return Uint8Array.from({ length: keyBytes }, (_, i) => Number.parseInt(text.slice(2 * i, 2 * i + 2), 16))
}

/** The keys that may open the data keys, likeliest first; none when the files are missing or unreadable. */
export const readKeyFiles = (vfs: Vfs, directory: string): ReadonlyArray<Uint8Array> =>
  [keyFileName, nextKeyFileName].flatMap((name) => readKey(vfs, directory, name) ?? [])

export const writeKeyFile = (vfs: Vfs, directory: string, key: Uint8Array): void =>
  placeWhole(vfs, directory, keyFileName, utf8(`${hex(key)}\n`))

/** The new key is durable beside the old one; the old one still counts. */
export const writeNextKeyFile = (vfs: Vfs, directory: string, key: Uint8Array): void =>
  placeWhole(vfs, directory, nextKeyFileName, utf8(`${hex(key)}\n`))

/** Leaves `key` as the only one in the directory, or none when it is not one of them: people hold it. */
export function settleKeyFiles(vfs: Vfs, directory: string, key: Uint8Array): void {
  const present = vfs.list(directory)
  const isKey = (name: string): boolean => {
    const found = readKey(vfs, directory, name)
    return found?.every((byte, i) => byte === key[i]) === true
  }
  let changed = false
  if (present.includes(nextKeyFileName)) {
    if (isKey(nextKeyFileName)) vfs.rename(`${directory}/${nextKeyFileName}`, `${directory}/${keyFileName}`)
    else vfs.remove(`${directory}/${nextKeyFileName}`)
    changed = true
  }
  if (vfs.list(directory).includes(keyFileName) && !isKey(keyFileName)) {
    vfs.remove(`${directory}/${keyFileName}`)
    changed = true
  }
  if (changed) vfs.syncDirectory(directory)
}
