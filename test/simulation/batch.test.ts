/** When many seeds count as good: none failed, and nothing was never come to. */
import { expect, test } from "bun:test"
import { spawnSync } from "node:child_process"
import { dirname } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { Batch } from "#test/simulation/raft/batch.ts"
import { corpus } from "#test/simulation/raft/corpus.ts"
import { markNames } from "#test/simulation/raft/marks.ts"

const marks = markNames.map((name) => [name, 1] as const)

test("S5: a thousand seeds that never came somewhere are not good enough, and say where; a few may miss it by chance", () => {
  const all = new Batch()
  all.add({ seeds: 1_000, committed: 1, failed: [], marks })
  expect([all.isGood, all.missed]).toEqual([true, []])
  const missing = new Batch()
  missing.add({ seeds: 999, committed: 1, failed: [], marks: marks.slice(1) })
  expect([missing.isGood, missing.missed]).toEqual([true, [markNames[0]]])
  missing.add({ seeds: 1, committed: 1, failed: [], marks: [] })
  expect(missing.isGood).toBe(false)
  expect(missing.show()).toContain(`never: ${markNames[0]}`)
  missing.add({ seeds: 0, committed: 0, failed: [], marks: marks.slice(0, 1) })
  expect(missing.isGood).toBe(true)
})

test("S2: one seed that fails makes a batch fail, and is named", () => {
  const batch = new Batch()
  batch.add({ seeds: 5_000, committed: 1, failed: [[17, "I1: two leaders"]], marks })
  expect(batch.isGood).toBe(false)
  expect(batch.show()).toContain("failed: 17")
})

test("seeds are shared among processes, each is run once, and their sum is told", () => {
  const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
  const args = ["test/simulation/run.ts", "raft", "--from", "1", "--seeds", "5", "--jobs", "2"]
  const { status, stdout } = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" })
  expect(stdout).toMatch(/^5 seeds, \d+ entries committed/m)
  expect(status).toBe(0)
}, 60_000)

test("no seed of the corpus is there twice", () => {
  const seeds = Object.values(corpus).flat()
  expect(new Set(seeds).size).toBe(seeds.length)
})
