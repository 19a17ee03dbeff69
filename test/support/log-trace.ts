/** A log on an imitated disk that remembers what it was promised, and what may be found after a power loss. */
import { expect } from "bun:test"
import { createHash } from "node:crypto"
import { type Entry, entryType, type HardState } from "#actors/raft/entry.ts"
import type { Cipher } from "#actors/raft/storage/cipher.ts"
import { nodeCipher } from "#actors/raft/storage/cipher-node.ts"
import type { Limits } from "#actors/raft/storage/layout.ts"
import { type OpenedLog, openLog } from "#actors/raft/storage/open.ts"
import { readSnapshot } from "#actors/raft/storage/snapshot-file.ts"
import type { Vfs } from "#actors/raft/storage/vfs.ts"
import { type InlineStorage, inlineStorage } from "#test/support/inline-storage.ts"
import { bytesOf } from "#test/support/journal.ts"
import type { Image, SimVfs } from "#test/support/sim-vfs.ts"

export const directory = "/data"
export const owner = { clusterId: "blue", nodeId: "n1" }
export const tinyDisk: Limits = { segmentBytes: 16 * 1024, reserveBytes: 0, zeroBytes: 8 * 1024 }

/** Checks that no nonce is used twice under one key, over everything it ever sealed. Ids never repeat. */
export class WatchedCipher implements Cipher {
  readonly used = new Map<string, string>()
  repeated: string | undefined
  #ids = 0
  readonly crc32 = nodeCipher.crc32
  readonly sha256 = nodeCipher.sha256
  readonly deriveKey = nodeCipher.deriveKey
  readonly open = nodeCipher.open
  readonly random = (length: number): Uint8Array =>
    new Uint8Array(
      createHash("sha256")
        .update(`${this.#ids++}`)
        .digest()
    ).slice(0, length)
  readonly seal: Cipher["seal"] = (key, nonce, bound, plain, room) => {
    const name = `${Buffer.from(key).toString("base64")} ${Buffer.from(nonce).toString("hex")}`
    const what = createHash("sha256").update(bound).update(plain).digest("base64")
    const before = this.used.get(name)
    if (before !== undefined && before !== what) this.repeated = name
    this.used.set(name, what)
    return nodeCipher.seal(key, nonce, bound, plain, room)
  }
}

/** Everything a log says, from its first entry, whether in a snapshot or not. */
export interface Told {
  readonly hardState: HardState
  readonly entries: ReadonlyArray<string>
}

export const open = (vfs: Vfs, cipher: Cipher, limits = tinyDisk, who = owner) =>
  openLog({ vfs, cipher, directory, owner: who, limits, nowMs: 1 })

export function opened(vfs: Vfs, cipher: Cipher, limits = tinyDisk, who = owner): OpenedLog {
  const found = open(vfs, cipher, limits, who)
  if (found._tag !== "Recovered") throw new Error(`${found._tag}: ${found.reason}`)
  return found
}

export const lineOf = ({ index, term, data }: Entry): string =>
  `${index}/${term} ${new TextDecoder().decode(data)}`

export function told(vfs: Vfs, cipher: Cipher, log: OpenedLog): Told {
  const entries: Array<string> = []
  const [newest] = log.wal.snapshots
  if (log.recovered.snapshot !== undefined && newest !== undefined) {
    for (const chunk of readSnapshot(vfs, cipher, owner, log.ring, `${directory}/raft/snap/${newest.name}`)) {
      entries.push(new TextDecoder().decode(chunk))
    }
  }
  entries.push(...log.recovered.entries.map(lineOf))
  return { hardState: log.recovered.hardState, entries }
}

/** Writes to a log and keeps the model beside it. `acknowledged` is promised; `attempted` may be found as well. */
export class LogTrace {
  readonly vfs: SimVfs
  readonly cipher: Cipher
  readonly storage: InlineStorage
  readonly failures: Array<unknown> = []
  acknowledged: Told
  attempted: Told
  #term: number
  #token = 0

  constructor(vfs: SimVfs, cipher: Cipher, limits = tinyDisk) {
    this.vfs = vfs
    this.cipher = cipher
    const log = opened(vfs, cipher, limits)
    this.acknowledged = told(vfs, cipher, log)
    this.attempted = this.acknowledged
    this.#term = log.recovered.hardState.term
    this.storage = inlineStorage(
      vfs,
      cipher,
      log,
      (turn) => turn(),
      (error) => this.failures.push(error)
    )
  }

  get failed(): boolean {
    return this.failures.length > 0
  }
  get lastIndex(): number {
    return this.attempted.entries.length
  }

  /** Appends texts after forgetting the entries from `truncateFrom` on; a `vote` begins a new term. */
  persist(texts: ReadonlyArray<string>, how: { vote?: string; truncateFrom?: number } = {}): void {
    if (this.failed) return
    if (how.vote !== undefined) this.#term++
    const kept = this.attempted.entries.slice(0, (how.truncateFrom ?? this.lastIndex + 1) - 1)
    const entries = texts.map(
      (text, i): Entry => ({
        index: kept.length + 1 + i,
        term: this.#term,
        type: entryType.command,
        data: bytesOf(text)
      })
    )
    const hardState = how.vote === undefined ? this.attempted.hardState : { term: this.#term, vote: how.vote }
    this.attempted = { hardState, entries: [...kept, ...entries.map(lineOf)] }
    const promised = this.attempted
    this.storage.persist(
      {
        token: ++this.#token,
        entries,
        commitHint: 0,
        ...(how.vote === undefined ? {} : { hardState }),
        ...(how.truncateFrom === undefined ? {} : { truncateFrom: how.truncateFrom })
      },
      () => {
        this.acknowledged = promised
      }
    )
  }

  snapshot(index = this.lastIndex): boolean {
    let saved = false
    const lines = this.acknowledged.entries.slice(0, index)
    const term = Number(lines.at(-1)?.split(" ")[0]?.split("/")[1])
    const chunks = lines.map(bytesOf)[Symbol.iterator]()
    this.storage.saveSnapshot({ index, term, config: bytesOf("n1") }, chunks, (done) => {
      saved = done
    })
    return saved
  }
}

/** What an image comes back as must be what was acknowledged, or that and the whole write that was under way. */
export function expectPromised(
  found: Told,
  trace: { acknowledged: Told; attempted: Told },
  where: string
): void {
  const text = JSON.stringify(found)
  if (text === JSON.stringify(trace.acknowledged) || text === JSON.stringify(trace.attempted)) return
  expect({ where, ...found }).toEqual({ where, ...trace.acknowledged })
}

export const digestOf = (image: Image): string => {
  const hash = createHash("sha1")
  for (const path of [...image.keys()].sort()) {
    const bytes = image.get(path) ?? new Uint8Array(0)
    hash.update(`${path} ${bytes.length}\n`).update(bytes)
  }
  return hash.digest("base64")
}
