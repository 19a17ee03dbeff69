/**
 * How long a cluster of three managers accepts no write when its leader is lost, or leaves.
 *
 *     bun test/bench/failover.ts [runs, default 20] [killed|ended|cut…]      `cut` needs root, for `ip link set … down`
 *
 * Two clients write configs one after the other, each waiting for its answer: one at a manager that survives, one at
 * the leader, which moves on to the next manager when it is not answered or refused. The gap is the longest
 * time without an acknowledgement from the loss on. The floor beside it: an undisturbed write.
 */
import process from "node:process"
import { setTimeout as pause } from "node:timers/promises"
import { inLab, onLoopback, type Place, type Spot } from "#test/bench/failover/place.ts"
import { whenInterrupted } from "#test/support/interrupted.ts"

const [first, ...rest] = process.argv.slice(2)
const runs = Number(first ?? 20)
const wanted = rest.length > 0 ? rest : ["killed", "ended", "cut"]

interface Write {
  readonly begun: number
  readonly ended: number
  readonly status: number
}

/** Writes one after the other until told to end. A client that `moves` goes on to the next manager when it fails. */
function client(
  spots: ReadonlyArray<Spot>,
  moves: boolean
): { readonly end: () => Promise<ReadonlyArray<Write>> } {
  const writes: Array<Write> = []
  let ended = false
  let at = 0
  const writing = (async () => {
    while (!ended) {
      const begun = performance.now()
      const spot = spots[at % spots.length] as Spot
      const status = await spot.write().catch(() => 0)
      writes.push({ begun, ended: performance.now(), status })
      if (status === 201) continue
      if (moves) at++
      // Nobody hammers a socket that refuses.
      await pause(5)
    }
  })()
  return {
    end: async () => {
      ended = true
      await writing
      return writes
    }
  }
}

interface Run {
  /** At a manager that survives. */
  readonly gap: number
  /** At the leader, and then at the managers that it moved on to. */
  readonly movedGap: number
  readonly worst: number
  readonly failed: number
}

type How = "killed" | "ended" | "cut"

async function once(place: Place, how: How): Promise<Run> {
  const leader = await place.leader()
  const others = place.spots.filter((spot) => spot !== leader)
  const near = client([others[0] as Spot], false)
  const moving = client([leader, others[1] as Spot, others[0] as Spot], true)
  await pause(500)
  const at = performance.now()
  const losing = place.lose(leader, how)
  await pause(3_000)
  const [nearWrites, movingWrites] = await Promise.all([near.end(), moving.end()])
  await losing
  await place.restore(leader)
  const gapOf = (writes: ReadonlyArray<Write>): number => {
    const acks = writes.filter(({ status, ended }) => status === 201 && ended > at).map(({ ended }) => ended)
    if (acks.length === 0) return Number.POSITIVE_INFINITY
    return Math.max(...acks.map((ack, i) => ack - (acks[i - 1] ?? at)))
  }
  const all = [...nearWrites, ...movingWrites]
  return {
    gap: gapOf(nearWrites),
    movedGap: gapOf(movingWrites),
    worst: Math.max(...all.map(({ begun, ended }) => ended - begun)),
    failed: nearWrites.filter(({ status }) => status !== 201).length
  }
}

const percentile = (values: ReadonlyArray<number>, share: number): number =>
  [...values].sort((a, b) => a - b)[Math.ceil(share * values.length) - 1] ?? Number.NaN

interface Target {
  readonly name: string
  readonly value: number
  readonly atMost: number | undefined
}

const missed: Array<string> = []
function show(targets: ReadonlyArray<Target>): void {
  for (const { name, value, atMost } of targets) {
    const isMissed = atMost !== undefined && !(value <= atMost)
    if (isMissed) missed.push(name)
    const verdict =
      atMost === undefined ? "" : `target ${String(atMost).padStart(6)}   ${isMissed ? "MISSED" : "met"}`
    console.log(`${name.padEnd(64)} ${value.toFixed(1).padStart(9)}   ${verdict}`)
  }
}

async function floor(place: Place): Promise<number> {
  const [at] = place.spots
  const took: Array<number> = []
  for (let i = 0; i < 100; i++) {
    const begun = performance.now()
    await at?.write()
    took.push(performance.now() - begun)
  }
  return percentile(took, 0.5)
}

async function measure(place: Place, how: How): Promise<ReadonlyArray<Run>> {
  const results: Array<Run> = []
  for (let run = 0; run < runs; run++) {
    results.push(await once(place, how))
    const { gap, movedGap, worst, failed } = results.at(-1) as Run
    console.error(
      `  ${run + 1}: gap ${gap.toFixed(0)}, moved ${movedGap.toFixed(0)}, worst ${worst.toFixed(0)}, failed ${failed}`
    )
  }
  return results
}

const gaps = (results: ReadonlyArray<Run>): ReadonlyArray<number> => results.map(({ gap }) => gap)
const most = (results: ReadonlyArray<Run>, of: keyof Run): number =>
  Math.max(...results.map((run) => run[of]))

console.log(`${runs} runs each; milliseconds`)
if (wanted.includes("killed") || wanted.includes("ended")) {
  const place = await onLoopback()
  const keep = whenInterrupted(place.close)
  try {
    show([{ name: "an undisturbed write, p50", value: await floor(place), atMost: undefined }])
    if (wanted.includes("killed")) {
      const results = await measure(place, "killed")
      show([
        {
          name: "leader killed (-9): next accepted write, p50",
          value: percentile(gaps(results), 0.5),
          atMost: 200
        },
        { name: "  p95", value: percentile(gaps(results), 0.95), atMost: undefined },
        {
          name: "  of the client that moves on, p95",
          value: percentile(
            results.map((run) => run.movedGap),
            0.95
          ),
          atMost: undefined
        },
        { name: "  worst single request", value: most(results, "worst"), atMost: 2_000 },
        { name: "  failed writes at a survivor", value: most(results, "failed"), atMost: undefined }
      ])
    }
    if (wanted.includes("ended")) {
      const results = await measure(place, "ended")
      show([
        { name: "leader ended (SIGTERM): gap, p50", value: percentile(gaps(results), 0.5), atMost: 100 },
        { name: "  worst", value: most(results, "gap"), atMost: undefined },
        { name: "  worst single request", value: most(results, "worst"), atMost: 2_000 },
        { name: "  failed writes at a survivor", value: most(results, "failed"), atMost: 0 }
      ])
    }
  } finally {
    keep()
    await place.close()
  }
}
if (wanted.includes("cut")) {
  const place = await inLab()
  const keep = whenInterrupted(place.close)
  try {
    show([{ name: "an undisturbed write over TLS, p50", value: await floor(place), atMost: undefined }])
    const results = await measure(place, "cut")
    show([
      {
        name: "leader cut off: next accepted write, p50",
        value: percentile(gaps(results), 0.5),
        atMost: 800
      },
      { name: "  p95", value: percentile(gaps(results), 0.95), atMost: 1_200 },
      {
        name: "  worst single request at a survivor or moving on",
        value: most(results, "worst"),
        atMost: 2_000
      },
      { name: "  failed writes at a survivor", value: most(results, "failed"), atMost: undefined }
    ])
  } finally {
    keep()
    await place.close()
  }
}
console.log(
  missed.length === 0 ? "All targets are met." : `Missed: ${missed.map((name) => name.trim()).join("; ")}`
)
process.exit(missed.length === 0 ? 0 : 1)
