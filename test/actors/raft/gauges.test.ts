/** What a member says of itself: figures for monitoring, warnings in time, and how old its state may be. */
import { afterEach, expect, setDefaultTimeout, setSystemTime, test } from "bun:test"
import { Effect, Logger } from "effect"
import { Gauges } from "#actors/raft/gauges.ts"
import { type Disk, judge, type Moment, startWatch, type Watch } from "#actors/raft/judge.ts"
import { raftMetrics } from "#actors/raft/metrics.ts"
import type { RaftFigures } from "#actors/raft/protocol.ts"
import { openMetrics } from "#runtime/openmetrics.ts"
import { Journal } from "#test/support/journal.ts"
import { until } from "#test/support/nats-server.ts"
import { newDirectory, openGroup, propose } from "#test/support/raft-directory.ts"
import { Members } from "#test/support/raft-members.ts"

setDefaultTimeout(60_000)

const ends: Array<() => void | Promise<void>> = []
afterEach(async () => {
  setSystemTime()
  for (const end of ends.splice(0).reverse()) await end()
})

async function alone() {
  const directory = newDirectory()
  ends.push(directory.remove)
  const group = await openGroup(directory.path, new Journal())
  ends.push(() => group.close())
  return group.raft
}

test("L3: every queue, every write, elections, leaders, hints and late ticks are told to monitoring", async () => {
  const raft = await alone()
  for (let n = 0; n < 5; n++) await propose(raft, `${n}`)
  const figures = raft.figures?.() as RaftFigures
  const { gauges, host } = figures
  expect(gauges.writes.count).toBeGreaterThanOrEqual(5)
  await until(() => gauges.lateness.count > 0)
  expect([gauges.elections, gauges.leaders]).toEqual([1, 1])
  gauges.hinted("n2", 1_000)
  gauges.heard("n2", 1_050)
  gauges.hinted("n3", 1_000)
  gauges.heard("n3", 60_000)
  expect([gauges.hints, gauges.falseHints]).toEqual([2, 1])
  const peer = { id: "n2", voter: true, match: 3, next: 4, inFlight: 2, quarantined: false, silentTicks: 0 }
  const text = openMetrics(
    raftMetrics({ ...figures, host: { ...host, peers: [{ ...peer, state: "replicate" }] } })
  )
  const { lastIndex, commit } = host
  for (const line of [
    `troupe_raft_commit ${commit}`,
    "troupe_raft_leading 1",
    "troupe_raft_unapplied 0",
    "troupe_raft_uncommitted 0",
    "troupe_raft_undurable 0",
    "troupe_raft_proposals 0",
    "troupe_raft_reads 0",
    `troupe_raft_peer_behind{peer="n2"} ${lastIndex - 3}`,
    'troupe_raft_peer_in_flight{peer="n2"} 2',
    `troupe_raft_write_seconds_count ${gauges.writes.count}`,
    `troupe_raft_tick_late_seconds_count ${gauges.lateness.count}`,
    "troupe_raft_elections_total 1",
    "troupe_raft_hints_total 2",
    "troupe_raft_hints_false_total 1"
  ]) {
    expect(text.split("\n")).toContain(line)
  }
})

const roomy: Disk = { directory: "/data", low: false, freeBytes: 2 ** 40, wantedBytes: 80 * 2 ** 20 }

test("L4: a slow write, a process that was held up and a clock that was set are warned of, each once a minute at most", () => {
  const well: Moment = { slowestWriteMs: 1, latestTickMs: 1, clockMs: 0, monotonicMs: 0, disk: roomy }
  let watch: Watch = startWatch
  const kinds = (moment: Partial<Moment>): ReadonlyArray<string> => {
    const found = judge(watch, { ...well, ...moment })
    watch = found.watch
    return found.warnings.map(({ kind }) => kind)
  }
  expect(kinds({})).toEqual([])
  expect(kinds({ slowestWriteMs: 499, latestTickMs: 249, clockMs: 1_999, monotonicMs: 1_000 })).toEqual([])
  expect(kinds({ slowestWriteMs: 500, latestTickMs: 250, clockMs: 4_000, monotonicMs: 2_000 })).toEqual([
    "slow disk",
    "late ticks",
    "clock step"
  ])
  expect(kinds({ slowestWriteMs: 900, clockMs: 5_000, monotonicMs: 3_000 })).toEqual([])
  expect(kinds({ slowestWriteMs: 900, clockMs: -3_600_000, monotonicMs: 62_000 })).toEqual([
    "slow disk",
    "clock step"
  ])
})

test("L4: a full disk is warned of with its path and what is left, again each minute, and room once it is back", () => {
  let watch: Watch = startWatch
  const said = (seconds: number, low: boolean): ReadonlyArray<string> => {
    const monotonicMs = seconds * 1_000
    const disk = { ...roomy, low, freeBytes: low ? 1.5 * 2 ** 20 : 2 ** 30 }
    const found = judge(watch, {
      slowestWriteMs: 0,
      latestTickMs: 0,
      clockMs: monotonicMs,
      monotonicMs,
      disk
    })
    watch = found.watch
    return found.warnings.map(({ message }) => message)
  }
  expect(said(0, false)).toEqual([])
  expect(said(1, true)).toEqual([
    "1.5 MiB are left on the disk of /data, and the log wants 80 MiB: this manager takes no new entries and leaves leading to others, if one of them can, until there is room"
  ])
  expect(said(2, true)).toEqual([])
  expect(said(62, true)).toHaveLength(1)
  expect(said(63, false)).toEqual([
    "1 GiB are left on the disk of /data: there is room again for new entries"
  ])
  expect(said(64, false)).toEqual([])
  expect(said(65, true)).toHaveLength(1)
  expect(said(66, false)).toHaveLength(1)
})

test("L4: what is measured starts anew with every look", () => {
  const gauges = new Gauges()
  gauges.wrote(700)
  gauges.ticked(300)
  gauges.ticked(-20)
  const times = { clockMs: 1, monotonicMs: 2 }
  expect(gauges.take(1, 2, roomy)).toEqual({ slowestWriteMs: 700, latestTickMs: 300, ...times, disk: roomy })
  expect(gauges.take(1, 2, roomy)).toMatchObject({ slowestWriteMs: 0, latestTickMs: 0 })
})

test("B17 L4: the machine's clock is set by an hour and by a year, forward and back: nobody is elected, time passes on, and it is said", async () => {
  const said: Array<string> = []
  const directory = newDirectory()
  ends.push(directory.remove)
  const group = await openGroup(directory.path, new Journal(), {}, undefined, (opening) =>
    opening.pipe(Effect.provide(Logger.layer([Logger.make(({ message }) => void said.push(`${message}`))])))
  )
  ends.push(() => group.close())
  const { raft } = group
  const { term } = raft.status()
  const hour = 3_600_000
  const now = Date.now()
  for (const step of [hour, -hour, 365 * 24 * hour, -365 * 24 * hour]) {
    setSystemTime(new Date(now + step))
    const ticks = raft.figures?.().gauges.lateness.count ?? 0
    expect(await propose(raft, `${step}`)).toMatchObject({ _tag: "Applied" })
    const ticked = (): number => raft.figures?.().gauges.lateness.count ?? 0
    await patiently("three ticks", () => ticked() >= ticks + 3)
    expect(raft.status()).toMatchObject({ role: "leader", term })
    expect(raft.figures?.().gauges.lateness.maxMicros).toBeLessThan(60e6)
  }
  await patiently("a warning", () => said.some((line) => /clock was set/.test(line)))
})

/** Waits by counting pauses: no clock can be trusted while a test sets it. */
async function patiently(what: string, holds: () => boolean): Promise<void> {
  for (let pause = 0; pause < 2_000; pause++) {
    if (holds()) return
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  throw new Error(`${what} did not come`)
}

test("F9: a member says how long ago it last knew who leads: the leader by its majority, a follower by its leader", () => {
  const members = new Members(["a", "b", "c"])
  const leader = members.elect()
  const follower = ["a", "b", "c"].find((id) => id !== leader) as string
  members.world.advance(1_000)
  const age = (id: string): number => members.member(id).status().ageMs ?? Number.POSITIVE_INFINITY
  for (const id of ["a", "b", "c"]) expect(age(id)).toBeLessThanOrEqual(200)
  members.isolate(follower)
  members.world.advance(5_000)
  expect(age(follower)).toBeGreaterThanOrEqual(4_800)
  expect(age(follower)).toBeLessThanOrEqual(5_300)
  expect(age(leader)).toBeLessThanOrEqual(200)
  members.isolate(leader)
  members.world.advance(400)
  expect(members.member(leader).inspect().role).toBe("leader")
  expect(age(leader)).toBeGreaterThanOrEqual(350)
})
