/**
 * Random lives of the Raft group: seeds that once were interesting, and new ones in every run. A failing seed prints
 * its trace; `SEED=17 bun test test/simulation/raft.test.ts` replays it, `bun run sim raft --seeds 20000` runs more.
 */
import { expect, setDefaultTimeout, test } from "bun:test"
import { spawnSync } from "node:child_process"
import { dirname, join } from "node:path"
import { performance } from "node:perf_hooks"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { corpus } from "#test/simulation/raft/corpus.ts"
import { planOf } from "#test/simulation/raft/plan.ts"
import { explain, runSeed } from "#test/simulation/raft/run.ts"
import { World } from "#test/simulation/raft/world.ts"

setDefaultTimeout(120_000)

// As many as fit into the time: how many that is depends on what else the machine does.
const newSeeds = { least: 20, most: 150, ms: 40_000 }

const chosen = process.env.SEED
const from = chosen === undefined ? Math.floor(Date.now() / 10) % 2 ** 31 : Number(chosen)

function expectSound(seed: number): void {
  if (runSeed(seed).problem !== undefined) throw new Error(explain(seed))
}

if (chosen !== undefined) {
  test(`seed ${chosen}: no law of Raft is broken, and the group recovers`, () => expectSound(from))
} else {
  for (const [what, seeds] of Object.entries(corpus)) {
    test(`${what}: no law of Raft is broken, and the group recovers`, () => {
      for (const seed of seeds) expectSound(seed)
    })
  }

  test(`A1 A2 A3 A4 A5 A11 A14 A15 B1 B4 B10 C1 C2 C4 F2 F6 G1 G4 G6 I5 I9 J4 K1 K4: new seeds from ${from}: no law of Raft is broken, and the group recovers`, () => {
    const until = performance.now() + newSeeds.ms
    let seed = from
    const isEnough = (ran: number): boolean =>
      ran >= newSeeds.most || (ran >= newSeeds.least && performance.now() >= until)
    while (!isEnough(seed - from)) expectSound(seed++)
    console.log(`${seed - from} new seeds from ${from}`)
  })
}

test("S2 S7: a group whose messages do not arrive is found not to recover, or not to keep its leader", () => {
  for (const lost of ["Heartbeat", "AppendReply", "VoteReply"]) {
    const world = new World(planOf(1), ({ _tag }) => _tag === lost)
    expect(() => world.run()).toThrow(/^L: /)
  }
})

const here = dirname(fileURLToPath(import.meta.url))
const root = dirname(dirname(here))

/** The traces of `seeds` in a process of their own. */
function hashesIn(program: string, args: ReadonlyArray<string>, seeds: ReadonlyArray<number>): string {
  const { status, stdout, stderr } = spawnSync(
    program,
    [...args, join(here, "raft/hash.ts"), ...seeds.map(String)],
    {
      cwd: root,
      encoding: "utf8"
    }
  )
  if (status !== 0) throw new Error(stderr)
  return stdout.trim()
}

test("A16 S6: a seed gives the same trace in this process, in another one, and under Deno", () => {
  const seeds = chosen === undefined ? [3, 17, from] : [from]
  const here = seeds.map((seed) => runSeed(seed).hash).join("\n")
  expect(seeds.map((seed) => runSeed(seed).hash).join("\n")).toBe(here)
  expect(hashesIn(process.execPath, [], seeds)).toBe(here)
  const deno = join(root, "node_modules/.bin/deno")
  expect(hashesIn(deno, ["run", "-A", "--no-check"], seeds)).toBe(here)
})

test("S6: no two of ten seeds give the same trace", () => {
  const hashes = Array.from({ length: 10 }, (_, n) => runSeed(n + 1).hash)
  expect(new Set(hashes).size).toBe(10)
})
