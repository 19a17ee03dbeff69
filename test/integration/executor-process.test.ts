/** The process executor on this machine: the contract, and what only processes have. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { identityOf, isAlive, type ProcessIdentity } from "#actors/drivers/machine/process-identity.ts"
import { ProcessExecutor } from "#actors/drivers/process/executor.ts"
import { Bench, type ExecutorUnderTest, executorContract, textOf } from "#test/contract/executor.ts"
import { eventually } from "#test/support/engine.ts"
import { endProcesses } from "#test/support/processes.ts"
import { emptyDisk, fillDisk, removeDisk, smallDisk } from "#test/support/small-disk.ts"

setDefaultTimeout(60_000)
const folder = mkdtempSync(join(tmpdir(), "troupe-process-"))
afterAll(() => {
  endProcesses(folder)
  rmSync(folder, { recursive: true, force: true })
})

const under: ExecutorUnderTest = {
  kind: "process",
  image: "host",
  open: () => ProcessExecutor.layer({ folder })
}

executorContract(under)

/** The kernel's clock, as start times count it. */
const ticks = (): number => Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 100 - 1

const shimOf = (id: string): ProcessIdentity =>
  JSON.parse(readFileSync(join(folder, id, "shim.json"), "utf8")) as ProcessIdentity

describe("processes of a node", () => {
  test("go on when the node is killed, and the next node finds them and their exit codes", async () => {
    const gate = join(mkdtempSync(join(tmpdir(), "troupe-gate-")), "open")
    const program = fileURLToPath(new URL("../support/process-node.ts", import.meta.url))
    const node: ChildProcess = spawn(
      process.execPath,
      [
        program,
        folder,
        'trap "exit 6" TERM; echo up; while :; do sleep 0.05; done',
        `echo leaving; while [ ! -e ${gate} ]; do sleep 0.02; done; echo gone; exit 8`
      ],
      { stdio: ["ignore", "pipe", "inherit"] }
    )
    const ids = await new Promise<Array<string>>((resolve) => {
      node.stdout?.once("data", (chunk: Buffer) => resolve(JSON.parse(chunk.toString()) as Array<string>))
    })
    const [stays = "", leaves = ""] = ids
    const ended = new Promise((resolve) => node.once("exit", resolve))
    node.kill("SIGKILL")
    await ended
    writeFileSync(gate, "")
    const before = JSON.parse(readFileSync(join(folder, stays, "process.json"), "utf8")) as ProcessIdentity
    expect(isAlive(before)).toBe(true)
    await eventually(() => readdirSync(join(folder, "ended")).includes(leaves), "one ends without a node")

    const next = new Bench(under)
    expect((await next.state(leaves)).exitCode).toBe(8)
    expect((await next.logs(leaves)).map(textOf)).toEqual(["leaving\n", "gone\n"])
    const adopted = await next.state(stays)
    expect(adopted).toMatchObject({ status: "running", pid: before.pid })
    const events = await next.listen((executor) => executor.events)
    await next.said(stays, "up")
    await next.run((executor) => executor.stop(stays, 20_000))
    expect((await next.state(stays)).exitCode).toBe(6)
    await eventually(() => events.seen.some(({ _tag }) => _tag === "Died"), "its end is announced")
    expect(events.seen.map(({ containerId }) => containerId)).toEqual([stays])
    await events.close()
    rmSync(dirname(gate), { recursive: true })
    await next.close()
  })

  test("are ended, and said to be lost, when their shim is killed", async () => {
    const own = new Bench(under)
    const events = await own.listen((executor) => executor.events)
    const id = await own.start("echo up; sleep 1000")
    await own.said(id, "up")
    const { pid } = await own.state(id)
    const target = identityOf(pid)
    process.kill(shimOf(id).pid, "SIGKILL")
    await eventually(() => events.seen.some(({ _tag }) => _tag === "Died"), "the end is announced")
    expect(await own.state(id)).toMatchObject({ status: "exited", exitCode: 137 })
    expect((await own.state(id)).error).toContain("was killed")
    if (target !== undefined) await eventually(() => !isAlive(target), "the process is gone too")
    await events.close()
    await own.close()
  })

  test("take what they started with them", async () => {
    const own = new Bench(under)
    const id = await own.start("sleep 1000 & echo $!; wait")
    await eventually(async () => (await own.logs(id)).length === 1, "the child's pid is told")
    const child = identityOf(Number(textOf((await own.logs(id))[0] as never)))
    if (child === undefined) throw new Error("the child does not run")
    await own.run((executor) => executor.remove(id))
    await eventually(() => !isAlive(child), "the child is gone")
    await own.close()
  })

  test("get nothing of the node's own environment", async () => {
    process.env.TROUPE_TEST_CANARY = "canary"
    const own = new Bench(under)
    const id = await own.start("env")
    await own.exited(id)
    const seen = (await own.logs(id)).map(textOf).join("")
    expect(seen).toContain("PATH=")
    expect(seen).toContain("HOME=")
    expect(seen).not.toContain("canary")
    await own.close()
    delete process.env.TROUPE_TEST_CANARY
  })

  test("keep no more log than they were told to", async () => {
    const own = new Bench(under)
    const id = await own.start("seq 1 5000", {
      HostConfig: { LogConfig: { Type: "json-file", Config: { "max-size": "20k", "max-file": "2" } } }
    })
    await own.exited(id)
    const files = readdirSync(join(folder, id)).filter((name) => name.startsWith("log"))
    expect(files.sort()).toEqual(["log", "log.1"])
    const lines = (await own.logs(id)).map(textOf)
    expect(lines.at(-1)).toBe("5000\n")
    expect(lines.length).toBeLessThan(2000)
    expect(lines.every((line, index) => index === 0 || Number(line) === Number(lines[index - 1]) + 1)).toBe(
      true
    )
    await own.close()
  })

  test("are refused, by field, what a process cannot have", async () => {
    const own = new Bench(under)
    const refusals: Array<[object, string]> = [
      [{ Image: "nginx:latest" }, "No such image: nginx:latest"],
      [{ Networks: [{ networkId: "n1", endpoint: {} }] }, "Networks"],
      [{ Healthcheck: { Test: ["CMD", "true"] } }, "Healthcheck"],
      [{ HostConfig: { Mounts: [{ Type: "bind", Source: "/a", Target: "/b" }] } }, "HostConfig.Mounts"],
      [{ HostConfig: { Memory: 1024 } }, "HostConfig.Memory"],
      [{ HostConfig: { NetworkMode: "bridge" } }, "HostConfig.NetworkMode"],
      [{ Tty: true }, "Tty"],
      [{ Cmd: [] }, "Cmd: expected a command"],
      [{ StopSignal: "SIGNOT" }, "SIGNOT"]
    ]
    for (const [more, words] of refusals) {
      const refusal = await own.refusal((executor) => executor.create("refused", own.request("true", more)))
      expect(refusal.message).toContain(words)
      expect(refusal.temporary).toBe(false)
    }
    expect((await own.refusal((executor) => executor.pull("nginx", undefined))).message).toContain("nginx")
    await own.run((executor) => executor.pull("host:latest", undefined))
    const stranger = await own.create("true", { User: "no-such-user" })
    expect((await own.refusal((executor) => executor.start(stranger))).message).toContain("no-such-user")
    expect(await own.run((executor) => executor.listNetworks)).toEqual([])
    await own.close()
  })

  test("are not confused with whoever has their pid after them", async () => {
    const own = new Bench(under)
    const id = await own.start("exec sleep 1000")
    const path = join(folder, id, "process.json")
    const record = JSON.parse(readFileSync(path, "utf8")) as ProcessIdentity
    // Pids are not given out again within a tick of the kernel's clock; neither is this one.
    await eventually(() => ticks() > Number(record.startTime.split("@")[0]), "the clock goes on")
    const bystander = spawn("sleep", ["1000"], { detached: true })
    const stranger = identityOf(bystander.pid ?? 0)
    if (stranger === undefined) throw new Error("the bystander does not run")
    // As if the pid had been given out again: the same number, another start.
    writeFileSync(path, JSON.stringify({ ...record, pid: stranger.pid }))
    process.kill(shimOf(id).pid, "SIGKILL")
    await own.exited(id)
    expect(isAlive(stranger)).toBe(true)
    bystander.kill("SIGKILL")
    process.kill(-record.pid, "SIGKILL")
    await own.close()
  })

  test("that were only half written down are swept away by the next node", async () => {
    const half = join(folder, `${"a".repeat(64)}.new`)
    mkdirSync(half)
    writeFileSync(join(half, "task.json.new"), "{")
    const own = new Bench(under)
    expect(await own.run((executor) => executor.list)).toEqual([])
    expect(readdirSync(folder)).not.toContain(`${"a".repeat(64)}.new`)
    await own.close()
  })
})

const isRoot = process.getuid?.() === 0

describe("on a full disk", () => {
  test.skipIf(!isRoot)(
    "tasks go on, their lines are left out with a word, how they end is known, and one that finds no room leaves nothing",
    async () => {
      const disk = smallDisk("4m")
      const gates = mkdtempSync(join(tmpdir(), "troupe-gate-"))
      const gate = (name: string): string => join(gates, name)
      const own = new Bench({ ...under, open: () => ProcessExecutor.layer({ folder: disk }) })
      try {
        const until = (name: string): string => `while [ ! -e ${gate(name)} ]; do sleep 0.02; done`
        const long = "x".repeat(200)
        const loud = `for i in $(seq 1 40); do echo lost $i ${long}; done`
        const goesOn = await own.start(
          `echo before; ${until("say")}; ${loud}; touch ${gate("said")}; ${until("more")}; echo after; exit 7`
        )
        const ends = await own.start(`echo up; ${until("say")}; ${loud}; exit 6`)
        await own.said(goesOn, "before")
        await own.said(ends, "up")
        fillDisk(disk)
        const names = readdirSync(disk).sort()
        writeFileSync(gate("say"), "")
        await own.exited(ends)
        expect(await own.state(ends)).toMatchObject({ status: "exited", exitCode: 6 })
        await eventually(() => existsSync(gate("said")), "the other one has said much")
        const refused = await own.refusal((executor) => executor.create("another", own.request("true")))
        expect(refused).toMatchObject({
          temporary: true,
          message: expect.stringContaining(`Cannot write below ${disk}: ENOSPC`)
        })
        expect(readdirSync(disk).sort()).toEqual(names)
        expect(await own.state(goesOn)).toMatchObject({ status: "running" })

        emptyDisk(disk)
        writeFileSync(gate("more"), "")
        await own.exited(goesOn)
        expect(await own.state(goesOn)).toMatchObject({ status: "exited", exitCode: 7 })
        const lines = (await own.logs(goesOn)).map(textOf)
        const kept = lines.filter((line) => line.startsWith("lost"))
        expect(kept.every((line) => line.endsWith(`${long}\n`))).toBe(true)
        const left = lines.flatMap(
          (line) => /^troupe: (\d+) lines left out here: ENOSPC/.exec(line)?.[1] ?? []
        )
        expect(left.map(Number)).toEqual([40 - kept.length])
        expect(lines.at(-1)).toBe("after\n")
      } finally {
        for (const name of ["say", "more"]) writeFileSync(gate(name), "")
        await own.close()
        endProcesses(disk)
        removeDisk(disk)
        rmSync(gates, { recursive: true })
      }
    }
  )
})

/** Takes all the room there is. */
