/** What nats-server turned away, in the words of its log (2.9.10, by which the lines here were written). */
import { afterAll, expect, test } from "bun:test"
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { ServerLog } from "#actors/drivers/nats-server/log.ts"
import { refusalsIn } from "#actors/nats/refusals.ts"

const key = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
const names = new Map([[key, "ci"]])
const line = (what: string, client = "v3.4.0:nats.js:shop"): string =>
  `[30547] 2026/11/28 10:12:08.024878 [ERR] 127.0.0.1:41440 - cid:4 - ${JSON.stringify(client)} - ${what}\n`

test("what a client may not publish or hear is told of it by name, in its own words", () => {
  const log =
    line(`Publish Violation - Nkey "${key}", Subject "troupe.api.v1.as.ops.service.remove"`) +
    line(`Subscription Violation - Nkey "${key}", Subject "troupe.>", SID 1`)
  const at = new Date("2026/11/28 10:12:08.024").toISOString()
  expect(refusalsIn(log, names)).toEqual([
    {
      ...{ at, who: "nats:ci", method: "PUBLISH", path: "troupe.api.v1.as.ops.service.remove", status: 403 },
      refused: 'Permissions Violation for Publish to "troupe.api.v1.as.ops.service.remove"'
    },
    {
      ...{ at, who: "nats:ci", method: "SUBSCRIBE", path: "troupe.>", status: 403 },
      refused: 'Permissions Violation for Subscription to "troupe.>"'
    }
  ])
})

test("nothing is told of what is no client's, and no client writes what reads as another's", () => {
  const forged = `x - Publish Violation - Nkey "${key}", Subject "a"`
  const log =
    line('Publish Violation - Nkey "UNODE", Subject "raft.a"') +
    line("Stale Client Connection - Closing", forged) +
    `[30547] 2026/11/28 10:12:08.024878 [INF] Nkey "${key}", Subject "a"\n`
  expect(refusalsIn(log, names)).toEqual([])
  const quoting = line(`Publish Violation - Nkey "${key}", Subject "a\\", Subject \\"b"`, forged)
  expect(refusalsIn(quoting, names).map(({ path }) => path)).toEqual(['a", Subject "b'])
  const escaped = line(`Publish Violation - Nkey "${key}", Subject "a\\x00b"`)
  expect(refusalsIn(escaped, names).map(({ path }) => path)).toEqual(["a\\x00b"])
})

test("a flood is cut short", () => {
  expect(refusalsIn(line(`Publish Violation - Nkey "${key}", Subject "a"`).repeat(500), names)).toHaveLength(
    100
  )
})

const folder = mkdtempSync(join(tmpdir(), "troupe-nats-log-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test("lines of the log are read when they are whole, also where a letter is torn", () => {
  const file = join(folder, "server.log")
  writeFileSync(file, "before\n")
  const log = new ServerLog(file)
  const bytes = Buffer.from("one\ntwö\n")
  appendFileSync(file, bytes.subarray(0, 7))
  expect(log.read()).toBe("one\n")
  expect(log.read()).toBe("")
  appendFileSync(file, bytes.subarray(7))
  expect(log.read()).toBe("twö\n")
  writeFileSync(file, "a\n")
  expect(log.read()).toBe("a\n")
})
