/** Real processes on real files: killed in the middle, locked out, losing their disk; and what is in the files. */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test"
import { type ChildProcess, spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import process from "node:process"
import { Effect } from "effect"
import { RaftOpenError } from "#actors/raft/group.ts"
import { nodeCipher } from "#actors/raft/storage/cipher-node.ts"
import { diskStorage } from "#actors/raft/storage/disk.ts"
import { openLog } from "#actors/raft/storage/open.ts"
import { nodeVfs } from "#actors/raft/storage/vfs-node.ts"
import { Journal } from "#test/support/journal.ts"
import { newDirectory, openGroup, propose, smallDisk } from "#test/support/raft-directory.ts"

// Many disks, or real processes, on a machine that may be busy with other suites.
setDefaultTimeout(60_000)

const canary = "canary-8f1c2e77"
const root = new URL("../../../", import.meta.url).pathname

let directory: ReturnType<typeof newDirectory>
const children: Array<ChildProcess> = []

beforeEach(() => {
  directory = newDirectory()
})
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL")
  directory.remove()
})

interface Writing {
  readonly child: ChildProcess
  readonly acknowledged: () => ReadonlyArray<number>
  readonly stderr: () => string
  /** Completes once so many entries were acknowledged. */
  readonly reached: (count: number) => Promise<void>
  readonly ended: Promise<number | null>
}

function write(command: ReadonlyArray<string>, count = 0): Writing {
  const [program = "", ...rest] = command
  const child = spawn(program, [...rest, directory.path, canary, `${count}`], { cwd: root })
  children.push(child)
  let out = ""
  let errors = ""
  const waiting: Array<{ readonly lines: number; readonly done: () => void }> = []
  child.stdout.on("data", (chunk: Buffer) => {
    out += chunk.toString()
    const lines = out.split("\n").length - 1
    for (const one of waiting) if (lines >= one.lines) one.done()
  })
  child.stderr.on("data", (chunk: Buffer) => {
    errors += chunk.toString()
  })
  const ended = new Promise<number | null>((resolve) => child.on("close", (code) => resolve(code)))
  return {
    child,
    acknowledged: () =>
      out
        .slice(0, out.lastIndexOf("\n") + 1)
        .split("\n")
        .filter((line) => /^\d+$/.test(line))
        .map(Number),
    stderr: () => errors,
    reached: (entries) =>
      new Promise((resolve, reject) => {
        waiting.push({ lines: entries + 1, done: resolve })
        void ended.then(() => reject(new Error(`the writer ended early: ${errors}`)))
      }),
    ended
  }
}

const bun = [process.execPath, "test/support/raft-child.ts"]
const deno = ["node_modules/.bin/deno", "run", "-A", "test/support/raft-child.ts"]

const filesUnder = (path: string): ReadonlyArray<string> =>
  readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath}/${entry.name}`)

function expectNoPlaintext(): void {
  for (const path of filesUnder(directory.path)) {
    expect({ path, found: readFileSync(path).includes(canary) }).toEqual({ path, found: false })
  }
}

describe("kill -9", () => {
  for (const [runtime, command, rounds] of [
    ["Bun", bun, [1, 70, 400, 1_300]],
    ["Deno", deno, [300]]
  ] as const) {
    test(`M1: in the middle of writes on ${runtime} loses nothing acknowledged, repeats nothing and leaves no plaintext`, async () => {
      const promised: Array<ReadonlyArray<number>> = []
      for (const count of rounds) {
        const writing = write(command)
        await writing.reached(count)
        writing.child.kill("SIGKILL")
        await writing.ended
        promised.push(writing.acknowledged())
        expectNoPlaintext()
      }
      const machine = new Journal()
      const group = await openGroup(directory.path, machine)
      // Each process counted from 0 again: the log is their runs, one after another, each without a gap.
      const runs: Array<Array<number>> = []
      for (const text of machine.texts) {
        const number = Number(text.split(" ")[0])
        if (number === 0) runs.push([])
        runs.at(-1)?.push(number)
      }
      expect(runs.length).toBe(promised.length)
      for (const [i, run] of runs.entries()) {
        expect(run).toEqual(run.map((_, n) => n))
        const last = promised[i]?.at(-1) ?? -1
        expect(run.length).toBeGreaterThan(last)
      }
      await group.close()
      expectNoPlaintext()
    })
  }
})

describe("one data directory", () => {
  test("C15: a second process is refused and told who has it; a killed holder leaves nothing in the way", async () => {
    const writing = write(bun)
    await writing.reached(0)
    const refused = await openGroup(directory.path, new Journal()).catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(RaftOpenError)
    expect(refused).toMatchObject({
      reason: "in-use",
      message: `Cannot open ${directory.path}/raft: process ${writing.child.pid} has it open`
    })
    writing.child.kill("SIGKILL")
    await writing.ended
    const group = await openGroup(directory.path, new Journal())
    await group.close()
  })

  test("C15: nor can one process open it twice", async () => {
    const group = await openGroup(directory.path, new Journal())
    const refused = await openGroup(directory.path, new Journal()).catch((error: unknown) => error)
    expect(refused).toMatchObject({ reason: "in-use" })
    expect(await propose(group.raft, "still mine")).toMatchObject({ _tag: "Applied" })
    await group.close()
  })

  test("everything in it is for its owner only", async () => {
    const group = await openGroup(directory.path, new Journal())
    await propose(group.raft, "a")
    await group.close()
    for (const path of filesUnder(directory.path)) {
      expect({ path, mode: statSync(path).mode & 0o077 }).toEqual({ path, mode: 0 })
    }
    expect(statSync(`${directory.path}/raft`).mode & 0o777).toBe(0o700)
  })

  test("another member's directory is refused", async () => {
    await (await openGroup(directory.path, new Journal())).close()
    const other = { clusterId: "blue", nodeId: "n2" }
    const refused = await openGroup(directory.path, new Journal(), {}, other).catch((error: unknown) => error)
    expect(refused).toMatchObject({ reason: "wrong-owner" })
  })

  test("an unknown format is refused, and nothing is touched", async () => {
    await (await openGroup(directory.path, new Journal())).close()
    const path = `${directory.path}/raft/identity`
    const bytes = new Uint8Array(readFileSync(path))
    bytes[4] = 9
    new DataView(bytes.buffer).setUint32(4092, nodeCipher.crc32(bytes.subarray(0, 4092)), true)
    writeFileSync(path, bytes)
    const refused = await openGroup(directory.path, new Journal()).catch((error: unknown) => error)
    expect(refused).toMatchObject({
      reason: "unknown-format",
      message: `Cannot open ${directory.path}/raft: format 9 is not known here, expected 1`
    })
  })
})

describe("a disk that fails", () => {
  test("C5: ends the process with code 75 and says why", async () => {
    const writing = write(bun)
    await writing.reached(20)
    // The next segment cannot be put in place.
    rmSync(`${directory.path}/raft/wal`, { recursive: true, force: true })
    expect(await writing.ended).toBe(75)
    expect(writing.stderr()).toContain("The log has failed, this process ends: Cannot ")
  })

  test("a writer that cannot begin is a failure, told once", async () => {
    const opened = openLog({
      vfs: nodeVfs,
      cipher: nodeCipher,
      directory: directory.path,
      owner: { clusterId: "blue", nodeId: "n1" },
      limits: smallDisk,
      nowMs: 1
    })
    if (opened._tag !== "Recovered") throw new Error(opened.reason)
    for (const name of readdirSync(`${directory.path}/raft/wal`)) rmSync(`${directory.path}/raft/wal/${name}`)
    const failures: Array<string> = []
    let answered = false
    const failed = new Promise<void>((resolve) => {
      const storage = diskStorage(opened, (error) => {
        failures.push(error.message)
        storage.close(resolve)
      })
      storage.persist({ token: 1, entries: [], commitHint: 0 }, () => {
        answered = true
      })
    })
    await failed
    expect(failures).toEqual([expect.stringContaining("Cannot open")])
    expect(answered).toBe(false)
  })

  test("D5: damaged data quarantine the member: it answers, takes no part, says why, and changes nothing", async () => {
    const first = await openGroup(directory.path, new Journal())
    for (let i = 0; i < 10; i++) await propose(first.raft, `entry ${i}`)
    await first.close()
    const wal = `${directory.path}/raft/wal`
    const segment = `${wal}/${readdirSync(wal).find((name) => name.endsWith(".seg"))}`
    const bytes = readFileSync(segment)
    bytes.fill(0xee, 4_300, 4_310)
    writeFileSync(segment, bytes)
    const sum = (): ReadonlyArray<string> =>
      filesUnder(directory.path)
        .filter((path) => !path.includes("LOCK"))
        .map((path) => `${path} ${createHash("sha256").update(readFileSync(path)).digest("hex")}`)
    const before = sum()

    const machine = new Journal()
    const group = await openGroup(directory.path, machine)
    expect(group.raft.status()).toMatchObject({
      role: "quarantined",
      problem: expect.stringContaining("which was acknowledged")
    })
    expect(await propose(group.raft, "no")).toEqual({ _tag: "NotLeader" })
    const read = await Effect.runPromise(Effect.flip(group.raft.readIndex))
    expect(read.message).toContain("which was acknowledged")
    expect(machine.restored + machine.lines.length).toBe(0)
    await group.close()
    expect(sum()).toEqual(before)
  })

  test("a log whose key file is gone is locked until the file is back", async () => {
    const first = await openGroup(directory.path, new Journal())
    await propose(first.raft, "a")
    await first.close()
    const key = readFileSync(`${directory.path}/node-key`)
    rmSync(`${directory.path}/node-key`)
    const locked = await openGroup(directory.path, new Journal())
    expect(locked.raft.status()).toMatchObject({
      role: "locked",
      problem: expect.stringContaining("node-key")
    })
    await locked.close()
    expect(existsSync(`${directory.path}/node-key`)).toBe(false)
    writeFileSync(`${directory.path}/node-key`, key)
    const machine = new Journal()
    await (await openGroup(directory.path, machine)).close()
    expect(machine.texts).toEqual(["a"])
  })

  test("an entry nobody knows halts the member with its index", async () => {
    const first = await openGroup(directory.path, new Journal())
    await propose(first.raft, "from a newer release")
    await first.close()
    rmSync(`${directory.path}/raft/snap`, { recursive: true })
    const machine = new Journal()
    machine.poison = "from a newer release"
    const halted = new Promise<string>((resolve) => {
      void openGroup(directory.path, machine, { halted: ({ message }) => resolve(message) }).catch(() => {})
    })
    expect(await halted).toContain("Cannot apply entry 3: nobody knows")
  })
})
