/**
 * What the log costs over the bare disk: raw O_DSYNC writes of 4 KiB in a thread of their own, then the same disk
 * through a group of one. Run with `bun test/bench/raft-disk.ts`; ratios count, the milliseconds are the machine's.
 *
 * Last good run (2 cores, ext4, other suites beside it): floor p50 0.105, p99 0.189 ms; sequential p50 0.203, p99
 * 0.544 ms, 1.9 × the floor; 64 in flight 180,000 entries/s, 512 in flight 550,000; beside 6 pbkdf2 p50 0.147 ms.
 */
import { pbkdf2 } from "node:crypto"
import { closeSync, constants, fsyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { performance } from "node:perf_hooks"
import process from "node:process"
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads"
import { Effect } from "effect"
import { founding } from "#actors/raft/core/configuration.ts"
import { openGroup } from "#actors/raft/group.ts"
import type { ProposeOutcome, RaftService, StateMachine } from "#actors/raft/protocol.ts"
import { noWire } from "#test/support/no-wire.ts"

const rounds = 3_000
const megabytes = 40

interface Times {
  readonly p50: number
  readonly p99: number
}

const summary = (times: ReadonlyArray<number>): Times => {
  const sorted = [...times].sort((a, b) => a - b)
  const at = (share: number): number => sorted[Math.floor((sorted.length - 1) * share)] ?? 0
  return { p50: at(0.5), p99: at(0.99) }
}

/** Writes of `bytes` over zeroed ground, one after another, in milliseconds each. */
function rawWrites(path: string, bytes: number, count: number): ReadonlyArray<number> {
  const zeroed = openSync(path, "w")
  const zeros = new Uint8Array(1024 * 1024)
  for (let at = 0; at < bytes * count; at += zeros.length) writeSync(zeroed, zeros, 0, zeros.length, at)
  fsyncSync(zeroed)
  closeSync(zeroed)
  const file = openSync(path, constants.O_RDWR | constants.O_DSYNC)
  const block = new Uint8Array(bytes).fill(0x5a)
  const times: Array<number> = []
  for (let i = 0; i < count; i++) {
    const start = performance.now()
    writeSync(file, block, 0, bytes, i * bytes)
    times.push(performance.now() - start)
  }
  closeSync(file)
  return times
}

const inWorker = (path: string, bytes: number, count: number): Promise<ReadonlyArray<number>> =>
  new Promise((resolve) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: { path, bytes, count } })
    worker.on("message", (times: ReadonlyArray<number>) => {
      resolve(times)
      void worker.terminate()
    })
  })

const machine = (): StateMachine => ({
  apply: (index) => index,
  snapshot: () => [new Uint8Array(8)],
  restore: (chunks) => void [...chunks]
})

let seq = 0
const propose = (raft: RaftService, data: Uint8Array): Promise<ProposeOutcome> =>
  new Promise((resolve) => raft.propose(data, { proposer: "n1", boot: "b", seq: ++seq }, resolve))

async function sequential(
  raft: RaftService,
  data: Uint8Array,
  count: number
): Promise<ReadonlyArray<number>> {
  const times: Array<number> = []
  for (let i = 0; i < count; i++) {
    const start = performance.now()
    const { _tag } = await propose(raft, data)
    if (_tag !== "Applied") throw new Error(`a proposal ended as ${_tag}`)
    times.push(performance.now() - start)
  }
  return times
}

/** Entries per second with so many proposals open at any time. */
async function throughput(raft: RaftService, open: number, count: number): Promise<number> {
  const data = new Uint8Array(256).fill(1)
  let left = count
  const start = performance.now()
  const client = async (): Promise<void> => {
    while (left-- > 0) await propose(raft, data)
  }
  await Promise.all(Array.from({ length: open }, client))
  return count / ((performance.now() - start) / 1_000)
}

const ms = ({ p50, p99 }: Times): string => `p50 ${p50.toFixed(3)} ms, p99 ${p99.toFixed(3)} ms`
const ratio = (a: number, b: number): string => `${(a / b).toFixed(2)} ×`

type Scoped = <A>(path: string, use: (raft: RaftService) => Promise<A>) => Promise<A>

/** What one small entry costs, alone, among many, and beside other work of the process. */
async function small(directory: string, scoped: Scoped): Promise<void> {
  const entry = new Uint8Array(256).fill(1)

  const floorBefore = await inWorker(`${directory}/raw`, 4_096, rounds)
  await scoped("a", async (raft) => {
    await sequential(raft, entry, 300)
    const ours = summary(await sequential(raft, entry, rounds))
    const floorAfter = await inWorker(`${directory}/raw`, 4_096, rounds)
    const floor = summary([...floorBefore, ...floorAfter])
    console.log(`bare O_DSYNC write of 4 KiB      ${ms(floor)}`)
    console.log(
      `propose → applied, sequential    ${ms(ours)}   ${ratio(ours.p50, floor.p50)} and ${ratio(ours.p99, floor.p99)} the floor`
    )
    for (const open of [64, 512]) {
      console.log(
        `${`${open} in flight`.padEnd(33)}${Math.round(await throughput(raft, open, 60_000))} entries/s`
      )
    }

    // C18: asynchronous work fills the thread pool that asynchronous file calls would share.
    let busy = true
    const starve = (): void => {
      if (busy) pbkdf2("p", "s", 150_000, 64, "sha512", starve)
    }
    for (let i = 0; i < 6; i++) starve()
    const starved = summary(await sequential(raft, entry, 1_000))
    const pooled = summary(await inWorker(`${directory}/raw`, 4_096, 1_000))
    busy = false
    console.log(
      `C18 beside 6 pbkdf2              ${ms(starved)}   ${ratio(starved.p50, pooled.p50)} the floor beside them`
    )
  })
}

// `C19` alone is quick, and what changes with the format is there.
const onlyLarge = process.argv.includes("C19")

async function main(): Promise<void> {
  const directory = mkdtempSync(`${tmpdir()}/troupe-bench-raft-`)
  try {
    const scoped: Scoped = (path, use) =>
      Effect.runPromise(
        Effect.scoped(
          Effect.gen(function* () {
            const raft = yield* openGroup({ wire: noWire, initial: founding("n1") })({
              directory: `${directory}/${path}`,
              clusterId: "bench",
              nodeId: "n1",
              machine: machine()
            })
            return yield* Effect.promise(() => use(raft))
          })
        )
      )
    if (!onlyLarge) await small(directory, scoped)

    // C19: what a byte costs when frames are full.
    const floorBefore = await inWorker(`${directory}/raw`, 1024 * 1024, megabytes)
    await scoped("b", async (raft) => {
      const ours = summary(await sequential(raft, new Uint8Array(1024 * 1024 - 4_096).fill(1), megabytes))
      const floorAfter = await inWorker(`${directory}/raw`, 1024 * 1024, megabytes)
      const bigFloor = summary([...floorBefore, ...floorAfter])
      console.log(`bare write of 1 MiB              ${ms(bigFloor)}`)
      console.log(`C19 entry of 1 MiB               ${ms(ours)}   ${ratio(ours.p50, bigFloor.p50)} the floor`)
    })
    console.log(`resident                         ${Math.round(process.memoryUsage().rss / 2 ** 20)} MiB`)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

if (isMainThread) await main()
else {
  const { path, bytes, count } = workerData as { path: string; bytes: number; count: number }
  parentPort?.postMessage(rawWrites(path, bytes, count))
}
