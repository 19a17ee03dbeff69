/** Fetching a snapshot: chunks in any order, twice, spoilt, or of another one. */
import { describe, expect, test } from "bun:test"
import { crc32 } from "node:zlib"
import { Fetch } from "#actors/raft/host/fetch.ts"
import type { SnapshotChunk } from "#actors/raft/host/message.ts"
import { hostSettings } from "#actors/raft/host/settings.ts"
import { dataOf, textOf } from "#test/support/raft-group.ts"

const meta = { index: 7, term: 2, config: new Uint8Array(0) }

/** What `texts` are as chunks. */
function chunksOf(...texts: ReadonlyArray<string>): ReadonlyArray<SnapshotChunk> {
  let checksum = 0
  return texts.map((text, chunk) => {
    const data = dataOf(text)
    checksum = crc32(data, checksum)
    const last = chunk === texts.length - 1
    const at = { from: "a", to: "b", term: 2, index: meta.index, snapshotTerm: meta.term }
    return { _tag: "SnapshotChunk", ...at, chunk, last, checksum, data }
  })
}

function begun(): Fetch {
  const fetch = new Fetch({ ...hostSettings, chunksAtOnce: 3 })
  expect(fetch.offered("a", meta, 0)).toMatchObject({ to: "a", index: 7, chunk: 0, count: 3 })
  return fetch
}

const [one, two, three, four] = chunksOf("one", "two", "three", "four") as [
  SnapshotChunk,
  SnapshotChunk,
  SnapshotChunk,
  SnapshotChunk
]

describe("I5: a snapshot that is fetched", () => {
  test("is whole when every chunk came, in whatever order and however often", () => {
    const fetch = begun()
    expect(fetch.received(three, 1)).toBeUndefined()
    expect(fetch.received(one, 1)).toBeUndefined()
    expect(fetch.received(one, 1)).toBeUndefined()
    // Three were asked for and are here: the next ones are asked for.
    expect(fetch.received(two, 1)).toMatchObject({ chunk: 3, count: 3 })
    expect(fetch.received(two, 1)).toBeUndefined()
    const whole = fetch.received(four, 2)
    expect(whole).toMatchObject({ meta })
    expect((whole as { chunks: ReadonlyArray<Uint8Array> }).chunks.map(textOf)).toEqual([
      "one",
      "two",
      "three",
      "four"
    ])
  })

  test("RF-23: is given up when a chunk is spoilt, or of another snapshot of the same name", () => {
    for (const wrong of [
      { ...two, data: dataOf("twO") },
      chunksOf("eins", "two", "three")[1] as SnapshotChunk
    ]) {
      const fetch = begun()
      fetch.received(one, 1)
      expect(fetch.received(wrong, 1)).toBeUndefined()
      expect(fetch.progress).toBeUndefined()
    }
  })

  test("RF-23: takes no chunk of another sender, index or term, and none beyond those it asked for", () => {
    const fetch = begun()
    for (const other of [{ from: "c" }, { index: 8 }, { snapshotTerm: 3 }])
      fetch.received({ ...one, ...other }, 1)
    fetch.received(four, 1)
    expect(fetch.progress).toEqual({ index: 7, chunks: 0 })
    fetch.received(one, 1)
    fetch.received(two, 1)
    fetch.received(three, 1)
    expect(fetch.progress).toEqual({ index: 7, chunks: 3 })
  })

  test("goes on where it was when chunks are lost, and is given up when none comes for long", () => {
    const { chunkTicks, fetchTicks } = hostSettings
    const fetch = begun()
    fetch.received(one, 1)
    expect(fetch.tick(chunkTicks)).toBeUndefined()
    expect(fetch.tick(1 + chunkTicks)).toMatchObject({ chunk: 1, count: 3 })
    expect(fetch.tick(1 + fetchTicks)).toBeUndefined()
    expect(fetch.progress).toBeUndefined()
  })

  test("is not disturbed by another offer while it moves", () => {
    const fetch = begun()
    expect(fetch.offered("a", { ...meta, index: 9 }, 1)).toBeUndefined()
    expect(fetch.progress).toMatchObject({ index: 7 })
    fetch.gone("a", 7, 2)
    expect(fetch.offered("a", { ...meta, index: 9 }, 1)).toMatchObject({ index: 9 })
  })
})
