/** What nodes say of their tasks' output to other systems. */
import { afterAll, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TaskFacts } from "#actors/drivers/log-store/task-facts.ts"
import { TaskLog } from "#actors/drivers/log-store/task-log.ts"
import type { Remembered } from "#actors/logs/choose.ts"
import { checkPublishLogs, publishesLogs, publishLogsLabel } from "#actors/logs/publish/policy.ts"
import type { PublishedLines } from "#actors/logs/publish/protocol.ts"
import { Publisher } from "#actors/logs/publish/publisher.ts"
import { Unreachable } from "#runtime/errors.ts"
import { aLine, timeAt } from "#test/support/log-lines.ts"

const folder = mkdtempSync(join(tmpdir(), "troupe-publish-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
let made = 0

const second = (seconds: number): number => Date.parse(timeAt(seconds))

/** A node whose tasks `t1`… write what they are told to, and what other systems hear of it. */
class Site {
  readonly heard: Array<{ readonly subject: string; readonly said: PublishedLines }> = []
  readonly logs = new Map<string, { log: TaskLog; state: Remembered["state"] }>()
  isConnected = true
  readonly publisher = new Publisher({
    cluster: "c1",
    nodeId: "n1",
    epoch: "e1",
    transport: {
      publish: (subject, _headers, body) => {
        if (!this.isConnected) throw new Unreachable({ address: subject, message: "away" })
        this.heard.push({ subject, said: JSON.parse(new TextDecoder().decode(body)) })
      }
    },
    memory: { about: (task) => this.logs.get(task) } as ConstructorParameters<typeof Publisher>[0]["memory"]
  })

  write(task: string, from: number, to: number, text = (at: number): string => `n${at}`): void {
    const known = this.logs.get(task) ?? {
      log: new TaskLog(join(folder, `${made++}`), Number.POSITIVE_INFINITY),
      state: "following" as const
    }
    this.logs.set(task, known)
    known.log.take(
      Array.from({ length: to - from }, (_, at) => aLine(text(from + at), from + at)),
      0
    )
  }

  end(task: string): void {
    const known = this.logs.get(task)
    if (known !== undefined) known.state = "ended"
  }

  round(): this {
    this.publisher.round([...this.logs.keys()].map(factsOf))
    return this
  }

  /** What was heard of a task, line by line. */
  lines(task = "t1"): ReadonlyArray<string> {
    return this.heard
      .filter(({ said }) => said.task === task)
      .flatMap(({ said }) => said.lines.map(({ text }) => text))
  }
}

const factsOf = (task: string): TaskFacts => ({
  task,
  name: `web.1.${task}`,
  service: "s1",
  serviceName: "web"
})
const range = (from: number, to: number): ReadonlyArray<string> =>
  Array.from({ length: to - from }, (_, at) => `n${from + at}`)

test("each line is said once and in order, by whom and of what, and messages are numbered", () => {
  const site = new Site()
  site.publisher.want(["t1"], second(0))
  site.write("t1", 0, 3)
  site.round().round()
  site.write("t1", 3, 3_000)
  site.round().round()
  expect(site.lines()).toEqual(range(0, 3_000))
  const [first] = site.heard
  expect(first?.subject).toBe("troupe.log.v1.c1.s1.t1.n1")
  expect(first?.said).toEqual({
    ...{ service: "s1", serviceName: "web", task: "t1", name: "web.1.t1", node: "n1", epoch: "e1", seq: 1 },
    lines: [0, 1, 2].map((at) => ({ at: timeAt(at), stream: "stdout", text: `n${at}` }))
  })
  expect(site.heard.map(({ said }) => said.seq)).toEqual(site.heard.map((_, at) => at + 1))
})

test("only of tasks that ask for it, and nothing that they wrote before", () => {
  const site = new Site()
  site.write("t1", 0, 10)
  site.write("t2", 0, 10)
  site.publisher.want(["t1"], second(6))
  site.round()
  expect(site.lines("t1")).toEqual(range(6, 10))
  expect(site.lines("t2")).toEqual([])
})

test("a label that is taken away silences at once; a task that ends is told of to its end", () => {
  const site = new Site()
  site.publisher.want(["t1", "t2"], second(0))
  site.write("t1", 0, 5)
  site.write("t2", 0, 5)
  site.round()
  site.write("t1", 5, 10)
  site.write("t2", 5, 10)
  site.end("t2")
  site.publisher.want([], second(10))
  site.round().round()
  expect(site.lines("t1")).toEqual(range(0, 5))
  expect(site.lines("t2")).toEqual(range(0, 10))
  expect(site.publisher.isIdle).toBe(true)
})

test("what cannot be said while NATS is away is said afterwards, and what was let go of is counted", () => {
  const site = new Site()
  site.publisher.want(["t1"], second(0))
  site.write("t1", 0, 2)
  site.round()
  site.isConnected = false
  const long = (at: number): string => `${at} ${"x".repeat(1_000)}`
  site.write("t1", 2, 3_002, long)
  site.round()
  expect(site.lines()).toEqual(range(0, 2))
  const log = site.logs.get("t1")?.log
  log?.flush(0)
  log?.dropOldest(1)
  site.isConnected = true
  site.write("t1", 3_002, 3_004)
  site.round().round()
  site.write("t1", 3_004, 3_006)
  site.round()
  const missing = site.heard.reduce((sum, { said }) => sum + (said.missing ?? 0), 0)
  expect(missing).toBeGreaterThan(2_000)
  expect(site.lines().length + missing).toBe(3_006)
  expect(site.lines().slice(-4)).toEqual([...range(3_002, 3_006)])
})

test("one task that writes much does not silence another: a round has an end, and who had none of it is next", () => {
  const site = new Site()
  site.publisher.want(["t1", "t2"], second(0))
  site.write("t1", 0, 3_000, (at) => `${at} ${"x".repeat(1_000)}`)
  site.write("t2", 0, 5)
  site.round()
  expect(site.lines("t1").length).toBeLessThan(700)
  site.round()
  expect(site.lines("t2")).toEqual(range(0, 5))
  for (let round = 0; round < 20; round++) site.round()
  expect(site.lines("t1").length).toBe(3_000)
})

test("the label says true or false", () => {
  const labelled = (text: string) => ({ Labels: { [publishLogsLabel]: text } })
  expect(publishesLogs(labelled("true").Labels)).toBe(true)
  expect(publishesLogs(labelled("false").Labels)).toBe(false)
  expect(checkPublishLogs(labelled("false") as never)).toBeUndefined()
  expect(checkPublishLogs(labelled("yes") as never)?.message).toBe(
    'label troupe.log.publish "yes": expected true or false'
  )
})
