/** The control law: over single cases, over thousands of seeded courses of load, and over a day, which is drawn. */
import { describe, expect, test } from "bun:test"
import { mkdirSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { choose } from "#actors/autoscaler/choose.ts"
import { blank } from "#actors/autoscaler/memory.ts"
import { changes, follow, policy, seeded } from "#test/support/autoscaled.ts"
import { drawCourse } from "#test/support/draw-course.ts"

const inputs = {
  now: 0,
  replicas: 4,
  running: 4,
  figures: new Map(),
  callers: false,
  rollout: false,
  room: () => 1_000
}
const once = (asked: ReturnType<typeof policy>, figures: Record<string, number>, rest: object = {}) =>
  choose(asked, blank(-1e9), { ...inputs, figures: new Map(Object.entries(figures)), ...rest })

describe("one look", () => {
  test("as many tasks as the load has shares", () => {
    expect(once(policy(), { rps: 900 })).toMatchObject({
      from: 4,
      to: 9,
      wanted: 9,
      why: "rps 900 with 100 a task, rising fast"
    })
  })

  test("nothing is done within the tolerance, on either side", () => {
    for (const rps of [361, 400, 439]) expect(once(policy(), { rps }).to).toBe(4)
    expect(once(policy(), { rps: 445 }).to).toBe(5)
  })

  test("who asks is given a first task, also during an update, and keeps the last one", () => {
    const asleep = policy({ min: 0, stabiliseMs: 0 })
    const nobody = { rps: 0 }
    expect(once(asleep, nobody, { replicas: 0, running: 0, callers: true, rollout: true })).toMatchObject({
      to: 1,
      why: "somebody asks"
    })
    expect(once(asleep, nobody, { replicas: 1, running: 1, callers: true }).to).toBe(1)
    expect(once(asleep, nobody, { replicas: 1, running: 1 }).to).toBe(0)
    expect(once(asleep, nobody, { replicas: 0, running: 0 }).to).toBe(0)
    expect(once(asleep, nobody, { replicas: 0, running: 0, callers: true, room: () => 0 }).to).toBe(0)
    // More than one is not for who asks to say.
    expect(once(policy(), { rps: 900 }, { callers: true, rollout: true }).to).toBe(4)
  })

  test("of several targets and the schedule the largest counts, and each is told", () => {
    const several = policy({
      targets: [
        { name: "cpu", metric: "cpu", goal: 0.7 },
        { name: "nats:orders", metric: "nats", goal: 10 }
      ],
      schedule: [{ pattern: "* * * * *", timeZone: "UTC", replicas: 7 }]
    })
    const decision = once(several, { cpu: 3.5, "nats:orders": 115 }, { now: 1_760_000_000_000 })
    expect(decision.votes.map(({ target, wants }) => [target, wants])).toEqual([
      ["cpu", 5],
      ["nats:orders", 12]
    ])
    expect(decision).toMatchObject({ to: 12, scheduled: 7 })
    expect(once(several, { cpu: 3.5, "nats:orders": 1 }, { now: 1_760_000_000_000 })).toMatchObject({
      to: 7,
      why: "the schedule"
    })
  })

  test("an update is waited for, and told so", () => {
    expect(once(policy(), { rps: 900 }, { rollout: true })).toMatchObject({
      to: 4,
      why: expect.stringContaining("waits for the update to end")
    })
  })

  test("no more than the nodes can hold, and told so", () => {
    expect(once(policy(), { rps: 900 }, { room: () => 6 })).toMatchObject({
      to: 6,
      why: expect.stringContaining("the nodes can hold no more than 6")
    })
    expect(once(policy(), { rps: 900 }, { room: () => 2 }).to).toBe(4)
  })

  test("what was scaled to 0 by hand stays there; where 0 is allowed a queue begins the first task", () => {
    expect(once(policy(), { rps: 900 }, { replicas: 0, running: 0 }).to).toBe(0)
    const queue = policy({ min: 0, targets: [{ name: "nats:q", metric: "nats", goal: 10 }] })
    expect(once(queue, { "nats:q": 1 }, { replicas: 0, running: 0 }).to).toBe(1)
    expect(once(queue, { "nats:q": 0 }, { replicas: 1, running: 1 }).to).toBe(0)
  })

  test("where nothing is known nothing goes down", () => {
    expect(once(policy(), {})).toMatchObject({ to: 4, why: "nothing is known of rps" })
  })

  test("slowness doubles the tasks at most, and of too much quickness one goes at a time", () => {
    const level = policy({ targets: [{ name: "p95", metric: "p95", goal: 200 }] })
    expect(once(level, { p95: 4_000 }).to).toBe(8)
    expect(once(level, { p95: 150 }).to).toBe(4)
    expect(once(level, { p95: 20 }).to).toBe(3)
  })
})

const seeds = Array.from({ length: 2_000 }, (_, seed) => seed + 1)

/** Steps, ramps, waves and spikes with noise, in goals of one task. */
function wild(seed: number): (second: number) => number {
  const random = seeded(seed)
  const [base, height, period, noise] = [random() * 20, random() * 30, 10 + random() * 300, random() * 0.5]
  const stepAt = random() * 300
  const kind = Math.floor(random() * 4)
  return (second) => {
    const shape = [
      second > stepAt ? height : 0,
      (height * second) / 300,
      height * (1 + Math.sin((2 * Math.PI * second) / period)),
      random() < 0.02 ? height * 5 : 0
    ][kind] as number
    return Math.max(0, (base + shape) * (1 + noise * (random() - 0.5)))
  }
}

/** For a machine that others keep busy. */
const patience = 120_000

describe(`over ${seeds.length} seeded courses`, () => {
  test(
    "never below min, above max, beyond the nodes, or during an update",
    () => {
      for (const seed of seeds) {
        const random = seeded(-seed)
        const min = 1 + Math.floor(random() * 5)
        const max = min + Math.floor(random() * 40)
        const room = min + Math.floor(random() * 40)
        const from = Math.floor(random() * 2) + min
        const rolls = (second: number) => second % 100 > 70
        const asked = policy({ min, max, stabiliseMs: 20_000 })
        const course = follow({
          policy: asked,
          seconds: 300,
          from: Math.min(from, max),
          load: wild(seed),
          room,
          rollout: rolls,
          full: 1.5
        })
        for (const { second, from: was, to } of course) {
          if (to < min || to > max)
            throw new Error(`seed ${seed}, second ${second}: ${to} is not within ${min} and ${max}`)
          if (to > was && to > room) throw new Error(`seed ${seed}, second ${second}: ${to} of ${room}`)
          if (to !== was && rolls(second))
            throw new Error(`seed ${seed}, second ${second}: changed during an update`)
        }
      }
    },
    patience
  )

  test(
    "steady load, with noise below the tolerance: one answer is found, and kept for good",
    () => {
      for (const seed of seeds) {
        const random = seeded(seed)
        const load = 0.1 + random() * 40
        const course = follow({
          policy: policy({ stabiliseMs: 30_000 }),
          seconds: 240,
          from: 1 + Math.floor(random() * 50),
          load: () => load * (1 + 0.05 * (random() - 0.5))
        })
        // Just beside a bound it may take noise for a while until it falls to one side; never back.
        const late = changes(course.slice(120))
        if (late.length > 1) throw new Error(`seed ${seed}: ${late[1]?.second} s, ${late[1]?.why}`)
        const { to } = course.at(-1) ?? { to: 0 }
        if (to < Math.floor(load / 1.13) || to > Math.ceil(load / 0.87) + 1)
          throw new Error(`seed ${seed}: ${to} tasks for ${load}`)
      }
    },
    patience
  )

  test(
    "a step to five times as much is met by the second second, and wholly by the fifth",
    () => {
      for (const seed of seeds) {
        const before = 1 + seeded(seed)() * 9
        const course = follow({
          policy: policy(),
          seconds: 80,
          from: Math.ceil(before),
          load: (second) => (second < 60 ? before : before * 5)
        })
        const first = changes(course).find(({ second }) => second >= 60)
        expect(first?.second).toBeLessThanOrEqual(61)
        expect(course[64]?.to).toBeGreaterThanOrEqual(Math.floor((before * 5) / 1.1))
      }
    },
    patience
  )

  test(
    "tasks that are full are given company until they are not",
    () => {
      for (const seed of seeds.slice(0, 500)) {
        const load = 2 + seeded(seed)() * 30
        const course = follow({ policy: policy(), seconds: 300, load: () => load, full: 1.4 })
        expect(course.at(-1)?.to).toBeGreaterThanOrEqual(Math.floor(load / 1.11))
        expect(course.at(-1)?.to).toBeLessThanOrEqual(Math.ceil(load) + 1)
      }
    },
    patience
  )

  test(
    "it goes down only to what was wanted throughout the stabilisation time",
    () => {
      for (const seed of seeds.slice(0, 500)) {
        const course = follow({ policy: policy({ stabiliseMs: 60_000 }), seconds: 400, load: wild(seed) })
        for (const { second, from, to } of changes(course)) {
          if (to > from) continue
          const most = Math.max(
            ...course.slice(Math.max(0, second - 60), second + 1).map(({ wanted }) => wanted)
          )
          if (to < Math.min(most, 50))
            throw new Error(`seed ${seed}, second ${second}: ${to} though ${most} were wanted`)
        }
      }
    },
    patience
  )
})

test("ten minutes of a wave and of noise: up once or a few times, and never down and up again", () => {
  for (const load of [
    (second: number) => 10 + 8 * Math.sin((2 * Math.PI * second) / 60),
    (() => {
      const random = seeded(7)
      return () => 5 + 10 * random()
    })()
  ]) {
    const course = follow({ policy: policy(), seconds: 900, from: 10, load })
    expect(changes(course.slice(300))).toEqual([])
  }
})

test("figures that stop for a while hold the service where it is", () => {
  const course = follow({
    policy: policy({ stabiliseMs: 30_000 }),
    seconds: 400,
    load: () => 12,
    known: (second) => second < 100 || second >= 300
  })
  expect(changes(course.slice(60))).toEqual([])
})

test(
  "a day with a morning, a lunch and a flash of news: few changes, little waste, drawn as an SVG",
  () => {
    const random = seeded(24)
    const hour = (second: number) => second / 3_600
    const bump = (second: number, at: number, width: number) =>
      Math.exp(-(((hour(second) - at) / width) ** 2))
    const load = (second: number) =>
      (1.5 +
        18 * bump(second, 10, 2) +
        14 * bump(second, 15, 2.5) +
        9 * bump(second, 20, 1.2) +
        (second > 45_000 && second < 45_600 ? 25 : 0)) *
      (1 + 0.1 * (random() - 0.5))
    const course = follow({ policy: policy({ min: 2 }), seconds: 86_400, load })
    const short = course.filter((instant) => instant.running * 1.3 < instant.load).length
    const spent = course.reduce((sum, { running }) => sum + running, 0)
    const used = course.reduce((sum, instant) => sum + instant.load, 0)
    const folder = process.env.TROUPE_ARTEFACTS ?? join(tmpdir(), "troupe-artefacts")
    mkdirSync(folder, { recursive: true })
    const file = join(folder, "day.svg")
    writeFileSync(file, drawCourse(course))
    console.log(
      `a day: ${changes(course).length} changes, ${short} s short, ${(spent / used).toFixed(2)} × the load, ${file}`
    )
    expect(short).toBeLessThan(20)
    expect(spent / used).toBeLessThan(1.35)
    expect(changes(course).length).toBeLessThan(150)
  },
  patience
)
