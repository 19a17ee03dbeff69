/** Whether managers hold the same: what they say of themselves, and what is on their disks. */
import { createHash } from "node:crypto"
import { Machine as Ledger } from "#actors/ledger/machine.ts"
import { entryType } from "#actors/raft/entry.ts"
import { commandOf } from "#actors/raft/host/envelope.ts"
import { nodeCipher } from "#actors/raft/storage/cipher-node.ts"
import { openReadable } from "#actors/raft/storage/inspect.ts"
import { defaultLimits } from "#actors/raft/storage/layout.ts"
import { openLog } from "#actors/raft/storage/open.ts"
import { nodeVfs } from "#actors/raft/storage/vfs-node.ts"
import { dataOf, type Machine, socketOf } from "#test/lab/machines.ts"
import { until } from "#test/lab/processes.ts"
import { request } from "#test/lab/request.ts"
import { inlineStorage } from "#test/support/inline-storage.ts"

export interface Place {
  readonly applied: number
  readonly digest: string
}

/** Waits until all have applied the same entries; what each then says of its state. */
export async function agreed(machines: ReadonlyArray<Machine>): Promise<ReadonlyArray<Place>> {
  let places: ReadonlyArray<Place> = []
  await until("that all managers have applied the same entries", 60, async () => {
    const answers = await Promise.all(
      machines.map(({ name }) =>
        request(socketOf(name), "GET", "/raft", undefined, 2_000).catch(() => undefined)
      )
    )
    places = answers.flatMap((answer) => (answer?.status === 200 ? [answer.body] : []))
    return places.length === machines.length && new Set(places.map(({ applied }) => applied)).size === 1
  })
  return places
}

export interface Replayed {
  readonly digest: string
  /** Of the bytes of a snapshot. */
  readonly sha256: string
  readonly bytes: number
  /** Digests of the log's own that were compared with this member's on the way. */
  readonly compared: number
}

/**
 * The state at entry `index` as this machine's own disk gives it: its newest snapshot, and its log from there on. The
 * manager must not run. Throws where the log has diverged from what it says of itself, or is damaged.
 */
export function replay(machine: Machine, index: number): Replayed {
  const directory = dataOf(machine.name)
  const owner = openReadable({ vfs: nodeVfs, cipher: nodeCipher, directory }).owner
  const opened = openLog({
    vfs: nodeVfs,
    cipher: nodeCipher,
    directory,
    owner,
    limits: defaultLimits,
    nowMs: 0
  })
  if (opened._tag !== "Recovered")
    throw new Error(`The log of ${machine.name} takes no part: ${opened.reason}`)
  const storage = inlineStorage(nodeVfs, nodeCipher, opened, queueMicrotask, () => {})
  const ledger = new Ledger(() => {})
  const { snapshot, entries } = opened.recovered
  if ((snapshot?.index ?? 0) > index) throw new Error(`${machine.name} has a snapshot beyond entry ${index}`)
  if (snapshot !== undefined) ledger.restore(storage.loadSnapshot())
  let compared = 0
  for (const entry of entries) {
    if (entry.index > index) break
    if (entry.type === entryType.command) ledger.apply(entry.index, entry.data)
    else if (entry.type === entryType.proposal) {
      const command = commandOf(entry.data)
      if (isDigest(command)) compared++
      ledger.apply(entry.index, command)
    }
  }
  const hash = createHash("sha256")
  let bytes = 0
  for (const chunk of ledger.snapshot()) {
    hash.update(chunk)
    bytes += chunk.length
  }
  return { digest: ledger.digest(), sha256: hash.digest("hex"), bytes, compared }
}

const isDigest = (command: Uint8Array): boolean =>
  JSON.parse(new TextDecoder().decode(command)).command.type === "ledger.digest"
