/** What services and tasks were asked between two looks at the entrance, from there to a service's figures. */
import { expect, test } from "bun:test"
import { parseCounts, parseWaiting } from "#actors/drivers/entrance/counts.ts"
import type { EntranceCounts, TaskCounts } from "#actors/drivers/entrance.ts"
import { latencyBounds } from "#actors/meter/figures.ts"
import { quantileOf, sumRequests } from "#actors/meter/requests.ts"
import { figuresOf, requestsSince } from "#actors/node/stats/requests.ts"

const buckets = latencyBounds.length + 1
const took = (counts: Readonly<Record<number, number>>): ReadonlyArray<number> =>
  Array.from({ length: buckets }, (_, at) => counts[at] ?? 0)
const task = (asked: number, counts: Readonly<Record<number, number>>, failed = 0): TaskCounts => ({
  serviceId: "web",
  asked,
  inflight: 1,
  statuses: [0, asked - failed, 0, 0, failed],
  took: took(counts)
})
const counts = (asked: number, tasks: Record<string, TaskCounts>): EntranceCounts => ({
  services: new Map([["web", { asked, inflight: 2 }]]),
  tasks: new Map(Object.entries(tasks))
})
const web = new Set(["web"])

test("a second's requests are what was counted since, and all of it where counting began again", () => {
  const before = { at: 1_000, counts: counts(100, { t1: task(60, { 0: 60 }), t2: task(40, { 5: 40 }) }) }
  const now = {
    at: 3_000,
    counts: counts(130, { t1: task(80, { 0: 70, 5: 10 }, 4), t2: task(10, { 5: 10 }) })
  }
  const requests = requestsSince(web, now, before)
  expect(requests?.services.get("web")).toEqual({
    rps: 15,
    inflight: 2,
    statuses: [0, 13, 0, 0, 2],
    took: took({ 0: 5, 5: 10 })
  })
  expect(requests?.tasks.get("t2")).toMatchObject({ rps: 5, took: took({ 5: 5 }) })
  expect(requestsSince(web, { ...now, at: 1_000 }, before)).toBeUndefined()
})

test("what nobody wants to know is left out, and so is a service that was not there before", () => {
  const now = { at: 2_000, counts: counts(10, { t1: task(10, {}) }) }
  const nothing = { at: 1_000, counts: { services: new Map(), tasks: new Map() } }
  expect(requestsSince(new Set(), now, nothing)).toEqual({ services: new Map(), tasks: new Map() })
  expect(requestsSince(web, now, nothing)?.services.size).toBe(0)
})

test("of several entrances requests add up, and times are taken over all of them", () => {
  const at = (asked: number, bucket: number) => {
    const now = counts(asked, { t1: task(asked, { [bucket]: asked }, 1) })
    const requests = requestsSince(web, { at: 1_000, counts: now }, { at: 0, counts: counts(0, {}) })
    return requests === undefined ? [] : (figuresOf(requests).services.web as ReadonlyArray<number>)
  }
  // 90 are answered below 1 ms and 10 within 70 to 100: the 95th is in the middle of those.
  expect(sumRequests([at(90, 0), [], at(10, 11)])).toEqual([100, 4, 85, 2])
  expect(sumRequests([[]])).toEqual([Number.NaN, Number.NaN, Number.NaN, Number.NaN])
  expect(quantileOf(took({}), 0.95)).toBe(0)
  expect(quantileOf(took({ 23: 5 }), 0.95)).toBe(10_000)
})

test("what haproxy says is counted by service and by task, whichever servers a task has had", () => {
  const owners = "0x1 web service0\n0x2 api service1\n"
  const said = {
    owners,
    asked:
      "# table: asked, type: string, size:1024, used:1\n0x7: key=service0 use=0 exp=3 conn_cur=3 http_req_cnt=5\n",
    took: "# table: took\n0x7: key=t1_80 use=0 exp=1 gpc0=3 gpc2=1\n0x7: key=t1_80_h2 use=0 exp=1 gpc0=1\n",
    servers: [
      "# pxname,svname,qcur,qmax,scur,smax,slim,stot,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,",
      "service0,t1_80,0,0,1,1,,4,0,3,0,0,1,",
      "service0,t1_80_h2,0,0,0,1,,1,0,1,0,0,0,",
      "service9,t9_80,0,0,0,1,,1,0,1,0,0,0,",
      ""
    ].join("\n")
  }
  const { services, tasks } = parseCounts(said)
  expect(services).toEqual(
    new Map([
      ["web", { asked: 5, inflight: 3 }],
      ["api", { asked: 0, inflight: 0 }]
    ])
  )
  expect([...tasks]).toEqual([
    ["t1", { serviceId: "web", asked: 5, inflight: 1, statuses: [0, 4, 0, 0, 1], took: took({ 0: 4, 2: 1 }) }]
  ])
  expect([...parseWaiting(owners, "0x1 service0 0\n0x2 service1 2\n")]).toEqual(["api"])
})
