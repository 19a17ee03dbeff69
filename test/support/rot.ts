/** Rots a member's log at an entry of its choice, as a disk does: silently. */
import { closeSync, openSync, writeSync } from "node:fs"
import { join } from "node:path"
import { nodeCipher } from "#actors/raft/storage/cipher-node.ts"
import { openReadable, type Sighting, sightings } from "#actors/raft/storage/inspect.ts"
import { nodeVfs } from "#actors/raft/storage/vfs-node.ts"

type Frame = Extract<Sighting, { readonly _tag: "Frame" }>

/** The frames of a log that carry entries. `dataDir` is the node's. */
export const framesOf = (dataDir: string): ReadonlyArray<Frame> => {
  const log = openReadable({ vfs: nodeVfs, cipher: nodeCipher, directory: dataDir })
  return [...sightings(log)]
    .filter((seen) => seen._tag === "Frame")
    .filter(({ entries }) => entries.length > 0)
}

/** Spoils the frame that holds this entry. Its node must not run. */
export function rot(dataDir: string, index: number): void {
  const frame = framesOf(dataDir).find(({ entries }) => entries.some((entry) => entry.index === index))
  if (frame === undefined) throw new Error(`no frame of ${dataDir} holds entry ${index}`)
  const file = openSync(join(dataDir, "raft", frame.file), "r+")
  writeSync(file, new Uint8Array([1, 2, 3, 4]), 0, 4, frame.at + 100)
  closeSync(file)
}

/** The last entry of a log. */
export const lastIndexOf = (dataDir: string): number =>
  Math.max(0, ...framesOf(dataDir).flatMap(({ entries }) => entries.map(({ index }) => index)))
