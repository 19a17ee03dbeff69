/**
 * Schedules that are meant to break the group, written by who did not write it: each is a situation in which a rule that
 * is right by itself may leave the group without a leader, or make it believe what is not so. The observer checks every
 * law after every turn; at the end of each, the group must have recovered and the books must be right.
 */
import { expect, setDefaultTimeout, test } from "bun:test"
import type { HostSettings } from "#actors/raft/host/protocol.ts"
import { hostSettings } from "#actors/raft/host/settings.ts"
import { type Plan, planOf } from "#test/simulation/raft/plan.ts"
import { World } from "#test/simulation/raft/world.ts"
import { SimVfs } from "#test/support/sim-vfs.ts"

// Imitated time, on a machine that may be busy.
setDefaultTimeout(60_000)

/** A group in which nothing goes wrong by itself. */
function calm(seed: number, changes: Partial<Plan> = {}, host: Partial<HostSettings> = {}): Plan {
  const plan = planOf(seed)
  return {
    ...plan,
    voters: 3,
    learners: 0,
    settings: { ...hostSettings, ...host },
    limits: { segmentBytes: 32 * 1024, reserveBytes: 64 * 1024, zeroBytes: 8 * 1024 },
    network: {
      minMs: 1,
      meanMs: 1,
      loss: 0,
      duplicate: 0,
      replay: 0,
      reorder: 0,
      capacity: 1_000,
      bytes: true
    },
    faults: [],
    clients: 3,
    keys: 2,
    pauseMs: 30,
    diskMs: 0,
    chunkBytes: 512,
    ...changes
  }
}

const seeds = [1, 2, 3, 4, 5]

function leaderOf(world: World): string {
  expect(world.host.runUntil(() => world.leader() !== undefined, 20_000)).toBe(true)
  return world.leader()?.id ?? ""
}

test("S9: every disk takes 0.7 s for each write, from the first moment on: somebody is elected, and writes are answered", () => {
  for (const seed of seeds) {
    const world = new World(calm(seed))
    world.run(() => {
      for (const place of world.places.values()) {
        place.diskMs = 700
        place.evenDisk = true
      }
      leaderOf(world)
      expect(world.host.runUntil(() => world.observer.committed.length >= 20, 60_000)).toBe(true)
      const { leaderChanges } = world.observer
      world.host.advance(20_000)
      expect(world.observer.leaderChanges - leaderChanges).toBeLessThanOrEqual(1)
    })
  }
})

test("S9: every disk is full at the same time: leadership does not wander about, and writes go on once there is room", () => {
  for (const seed of seeds) {
    // A segment of 64 frames: what a few elections write fits.
    const limits = { segmentBytes: 256 * 1024, reserveBytes: 64 * 1024, zeroBytes: 64 * 1024 }
    const world = new World(calm(seed, { limits }))
    world.run(() => {
      leaderOf(world)
      world.host.advance(1_000)
      for (const place of world.places.values()) place.storage?.idle()
      world.host.advance(10)
      for (const place of world.places.values()) {
        place.vfs.capacity = place.vfs.usedBytes
        place.storage?.idle()
      }
      world.host.advance(500)
      const { leaderChanges } = world.observer
      world.host.advance(60_000)
      expect(world.observer.leaderChanges - leaderChanges).toBeLessThanOrEqual(18)
      expect([...world.places.values()].map(({ problem }) => problem)).toEqual([
        undefined,
        undefined,
        undefined
      ])
    })
  }
})

test("S9: the leader dies while one of the two others has no room for the snapshot that it has fetched: it still votes", () => {
  for (const seed of seeds) {
    const plan = calm(seed, {}, { snapshotEntries: 10, core: { ...hostSettings.core, trailingEntries: 2 } })
    const world = new World(plan)
    world.run(() => {
      const leader = leaderOf(world)
      const [behind] = [...world.places.values()].filter(({ id }) => id !== leader)
      if (behind === undefined) throw new Error("there is no other member")
      behind.crash("process")
      const { length } = world.observer.committed
      expect(world.host.runUntil(() => world.observer.committed.length > length + 60, 30_000)).toBe(true)
      behind.start()
      behind.storage?.idle()
      world.host.advance(1)
      behind.vfs.capacity = behind.vfs.usedBytes
      const refused = (): boolean => (world.marks.counts.get("no room for a snapshot") ?? 0) > 0
      expect(world.host.runUntil(refused, 10_000)).toBe(true)
      world.places.get(leader)?.crash("process")
      world.host.advance(50)
      expect(world.host.runUntil(() => world.leader() !== undefined, 10_000)).toBe(true)
    })
  }
})

test("S9: a member forgets what it acknowledged and nobody knows yet to be committed: it is found out all the same", () => {
  for (const seed of seeds) {
    // So many that some ask in each moment, whatever the others wait for.
    const world = new World(calm(seed, { voters: 5, clients: 15, pauseMs: 150 }))
    world.run(() => {
      const leader = leaderOf(world)
      world.host.advance(500)
      const [first, ...others] = [...world.places.values()].filter(({ id }) => id !== leader)
      if (first === undefined) throw new Error("there is no other member")
      // It alone hears the leader, so that what it acknowledges is not committed.
      for (const { id } of others) world.network.cut(leader, id)
      // What was on its way before that has arrived.
      world.host.advance(20)
      const image = first.vfs.durableImage()
      const before = world.observer.durableOf(first.id).lines.length
      const acknowledged = (): boolean =>
        (world.observer.statusOf(leader)?.peers.find(({ id }) => id === first.id)?.match ?? 0) > before
      expect(world.host.runUntil(acknowledged, 400)).toBe(true)
      first.crash("process")
      first.vfs = SimVfs.from(image)
      world.observer.excuse(first.id)
      first.start()
      expect(world.host.runUntil(() => first.lost, 400)).toBe(true)
    })
  }
})

test("S9: leadership is handed on without pause, old orders to campaign arrive again and again, a leader is held up in between: no law is broken", () => {
  for (const seed of seeds) {
    const plan = calm(seed, {
      network: {
        minMs: 1,
        meanMs: 5,
        loss: 20,
        duplicate: 300,
        replay: 300,
        reorder: 500,
        capacity: 1_000,
        bytes: true
      }
    })
    const world = new World(plan)
    world.run(() => {
      leaderOf(world)
      for (let round = 0; round < 60; round++) {
        const leader = world.leader()
        leader?.member?.transfer(undefined, () => {})
        if (round % 7 === 3 && leader !== undefined) {
          leader.pause()
          world.host.after(700, () => leader.resume())
        }
        world.host.advance(150)
      }
      expect(world.observer.leaderChanges).toBeGreaterThan(10)
      const { length } = world.observer.committed
      expect(world.host.runUntil(() => world.observer.committed.length > length + 20, 20_000)).toBe(true)
    })
  }
})
