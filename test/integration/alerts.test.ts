/** Alerts across the death of the leader: told once, and once that they ended; since when is as it was. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { json } from "node:stream/consumers"
import type { Cluster } from "#test/support/cluster.ts"
import { eventually } from "#test/support/engine.ts"
import { Managers } from "#test/support/managers.ts"

setDefaultTimeout(180_000)

interface Posted {
  readonly state: string
  readonly condition: string
  readonly id: string
  readonly since: string
}

let managers: Managers
const posted: Array<Posted> = []
const webhook = createServer(async (request, response) => {
  posted.push((await json(request)) as Posted)
  response.end()
})

beforeAll(async () => {
  await new Promise<void>((resolve) => webhook.listen(0, "127.0.0.1", resolve))
  managers = await Managers.start(3)
}, 180_000)
afterAll(async () => {
  webhook.close()
  await managers?.cleanUp()
}, 60_000)

const toldOf = (id: string): ReadonlyArray<string> =>
  posted.filter((each) => each.id === id).map(({ state, condition }) => `${state} ${condition}`)

/** A service that no node suits. */
async function short(by: Cluster, Name: string): Promise<string> {
  const Placement = { Constraints: ["node.labels.disk==ssd"] }
  const TaskTemplate = { ContainerSpec: { Image: "host", Command: ["true"] }, Placement }
  const { status, body } = await by.api("POST", "/services/create", { Name, TaskTemplate })
  expect(status).toBe(201)
  return body.ID
}

test("a leader that is killed: what holds is told no second time, and what ended meanwhile once", async () => {
  const leader = await managers.leader()
  const others = managers.all.filter((each) => each !== leader)
  const [one] = others as [Cluster]
  const { port } = webhook.address() as AddressInfo
  const { Version, Spec } = await one.get("/swarm")
  const Labels = { "troupe.alerts.webhook": `http://127.0.0.1:${port}/` }
  const changed = await one.api("POST", `/swarm/update?version=${Version.Index}`, { ...Spec, Labels })
  expect(changed.status).toBe(200)
  const [stays, ends] = [await short(one, "stays"), await short(one, "ends")]
  const made = (await one.get(`/services/${stays}`)).CreatedAt
  const isTold = () => toldOf(stays).length + toldOf(ends).length === 2
  await eventually(isTold, "both are told of", 60_000)
  const since = posted.find(({ id }) => id === stays)?.since ?? ""
  // Not since it is told, which is half a minute later.
  expect(Date.parse(since) - Date.parse(made)).toBeLessThan(15_000)

  await leader.kill9()
  const remove = async () => (await one.api("DELETE", `/services/${ends}`)).status !== 503
  await eventually(remove, "another leads, and takes it away", 30_000)
  await eventually(() => toldOf(ends).length === 2, "it is told that it ended", 30_000)
  // By then the new leader has told what is news.
  await eventually(() => toldOf(leader.nodeId).length > 0, "the dead manager is told of", 60_000)
  expect(toldOf(stays)).toEqual(["firing service-short"])
  expect(toldOf(ends)).toEqual(["firing service-short", "ended service-short"])
  expect(toldOf(leader.nodeId)).toEqual(["firing node-down"])
  // When it was there last is written every few seconds; it registered before there was a service.
  const gone = posted.find(({ id }) => id === leader.nodeId)?.since ?? ""
  expect(gone > made).toBe(true)
  const alerts: ReadonlyArray<{ readonly Object: { readonly ID: string }; readonly Since: string }> =
    await one.get("/alerts")
  expect(alerts.filter(({ Object: { ID } }) => ID === stays).map(({ Since }) => Since)).toEqual([since])
})
