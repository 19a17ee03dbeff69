/** A group of one on the real disk: what it promises, and what is there after it was closed. */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test"
import { Effect } from "effect"
import { hostSettings } from "#actors/raft/host/settings.ts"
import { eventually } from "#test/support/engine.ts"
import { Journal } from "#test/support/journal.ts"
import { newDirectory, type OpenedGroup, openGroup, propose } from "#test/support/raft-directory.ts"

// Many disks, or real processes, on a machine that may be busy with other suites.
setDefaultTimeout(60_000)

let directory: ReturnType<typeof newDirectory>
let group: OpenedGroup | undefined

beforeEach(() => {
  directory = newDirectory()
})
afterEach(async () => {
  await group?.close()
  group = undefined
  directory.remove()
})

const open = async (...[machine, settings]: [Journal, Parameters<typeof openGroup>[2]?]) => {
  group = await openGroup(directory.path, machine, settings)
  return group.raft
}
const reopen = async (...[machine, settings]: [Journal, Parameters<typeof openGroup>[2]?]) => {
  await group?.close()
  return open(machine, settings)
}

describe("a group of one", () => {
  test("leads when it is open, in a term of its own for every start", async () => {
    const raft = await open(new Journal())
    expect(raft.leadership()).toEqual({ _tag: "Leading", term: 1 })
    expect(raft.status()).toMatchObject({ role: "leader", leader: "n1", term: 1, commit: 2, applied: 2 })
    const again = await reopen(new Journal())
    expect(again.leadership()).toEqual({ _tag: "Leading", term: 2 })
  })

  test("applies proposals in the order they were made and answers with the machine's results", async () => {
    const machine = new Journal()
    const raft = await open(machine)
    const outcomes = await Promise.all(["a", "b", "c"].map((text) => propose(raft, text)))
    expect(outcomes).toEqual([
      { _tag: "Applied", index: 3, result: 1 },
      { _tag: "Applied", index: 4, result: 2 },
      { _tag: "Applied", index: 5, result: 3 }
    ])
    expect(machine.texts).toEqual(["a", "b", "c"])
  })

  test("has everything back after it was closed and opened again", async () => {
    const raft = await open(new Journal())
    for (const text of ["a", "b", "c"]) await propose(raft, text)
    const machine = new Journal()
    const again = await reopen(machine)
    expect(machine.texts).toEqual(["a", "b", "c"])
    expect(machine.restored).toBe(1)
    await propose(again, "d")
    expect(machine.texts).toEqual(["a", "b", "c", "d"])
  })

  test("restores the newest snapshot and replays only what follows it", async () => {
    const raft = await open(new Journal())
    for (let i = 0; i < 30; i++) await propose(raft, `entry ${i}`)
    await Effect.runPromise(raft.compact)
    expect(raft.status().snapshotIndex).toBe(32)
    await propose(raft, "after")
    const machine = new Journal()
    await reopen(machine)
    expect(machine.texts).toEqual([...Array.from({ length: 30 }, (_, i) => `entry ${i}`), "after"])
  })

  test("takes snapshots by itself and drops the log that two of them cover", async () => {
    const raft = await open(new Journal(), { host: { ...hostSettings, snapshotEntries: 20 } })
    for (let i = 0; i < 200; i++) await propose(raft, `entry ${i} ${"x".repeat(3000)}`)
    const { snapshotIndex, diskBytes } = raft.status()
    expect(snapshotIndex).toBeGreaterThan(100)
    // 200 entries fill 200 frames of 4 KiB; what is left is two snapshots and the log from the older.
    expect(diskBytes).toBeLessThan(2 * 200 * 3_100 + 8 * 64 * 1024)
    const machine = new Journal()
    await reopen(machine)
    expect(machine.lines).toHaveLength(200)
  })

  test("takes snapshots as often as it is told, until it is told nothing any more", async () => {
    const raft = await open(new Journal())
    const write = async () => {
      for (let i = 0; i < 40; i++) await propose(raft, `entry ${i}`)
    }
    await write()
    expect(raft.status().snapshotIndex).toBe(0)
    raft.snapshotEvery?.(10)
    await write()
    // Another thread writes them; one that is due while one is written waits for it.
    await eventually(() => raft.status().snapshotIndex > 60, "the newest snapshot is written")
    raft.snapshotEvery?.(undefined)
    await Effect.runPromise(raft.compact)
    const { snapshotIndex } = raft.status()
    await write()
    expect(raft.status().snapshotIndex).toBe(snapshotIndex)
  })

  test("answers a read index at least as new as every acknowledged entry", async () => {
    const raft = await open(new Journal())
    const outcome = await propose(raft, "a")
    const index = await Effect.runPromise(raft.readIndex)
    expect(outcome).toMatchObject({ index })
  })

  test("tells a listener the present state at once and the end of leading when it closes", async () => {
    const raft = await open(new Journal())
    const heard: Array<string> = []
    raft.onLeadership(({ _tag }) => heard.push(_tag))
    expect(heard).toEqual(["Leading"])
    await group?.close()
    expect(heard).toEqual(["Leading", "Following"])
    expect(await propose(raft, "late")).toEqual({ _tag: "NotLeader" })
  })

  test("completes what it accepted before it closes", async () => {
    const machine = new Journal()
    const raft = await open(machine)
    const accepted = Array.from({ length: 100 }, (_, i) => propose(raft, `${i}`))
    await group?.close()
    for (const outcome of await Promise.all(accepted)) expect(outcome._tag).toBe("Applied")
    expect(machine.lines).toHaveLength(100)
  })

  test("G9: entries up to 1.5 MiB pass, larger ones are refused with their size", async () => {
    const raft = await open(new Journal())
    expect(await propose(raft, "x".repeat(1536 * 1024))).toMatchObject({ _tag: "Applied" })
    expect(await propose(raft, "x".repeat(1536 * 1024 + 1))).toMatchObject({
      _tag: "Overloaded",
      message: expect.stringContaining("1572865 bytes")
    })
  })

  test("G8: more than it can hold is refused at once, and taken again later", async () => {
    const raft = await open(new Journal())
    const outcomes = await Promise.all(Array.from({ length: 8_200 }, (_, i) => propose(raft, `${i}`)))
    const count = (tag: string) => outcomes.filter(({ _tag }) => _tag === tag).length
    expect(count("Overloaded")).toBe(8)
    expect(count("Applied")).toBe(8_192)
    expect(await propose(raft, "again")).toMatchObject({ _tag: "Applied" })
  })
})
