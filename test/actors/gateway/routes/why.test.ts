/** What the API says of a service that is not as it should be, and how people read it. */
import { expect, test } from "bun:test"
import { showWhyService } from "#cli/print/why.ts"
import { nodeId, serviceBody, TestGateway } from "#test/support/gateway.ts"

test("of a service it tells how its last update ended, and each way in which its tasks ended badly once", async () => {
  const gateway = await TestGateway.start()
  const id = await gateway.made("/services/create", serviceBody("web"))
  const service = gateway.ledger.read.get("service", id)
  const ended = (ID: string, State: "rejected" | "failed" | "running", Err: string, second: number) => ({
    ID,
    ServiceID: id,
    SpecVersion: service?.SpecVersion ?? 0,
    Slot: 1,
    NodeID: nodeId,
    Status: { Timestamp: `2026-11-27T10:00:0${second}Z`, State, Err },
    DesiredState: State === "running" ? ("running" as const) : ("shutdown" as const)
  })
  await gateway.write({
    type: "tasks.change",
    v: 1,
    create: [
      ended("t1", "rejected", "No such image: nosuch:1", 1),
      ended("t2", "rejected", "No such image: nosuch:1", 3),
      ended("t3", "failed", "task: non-zero exit (1)", 2),
      ended("t4", "running", "", 4)
    ],
    update: [],
    remove: []
  })
  const status = { State: "rollback_completed", Message: "rollback completed" } as const
  const version = gateway.ledger.read.get("service", id)?.Version.Index ?? 0
  await gateway.write({ type: "service.progress", v: 1, id, version, status })
  const { body } = await gateway.get("/why/web")
  expect(body).toMatchObject({
    Service: "web",
    Tasks: [],
    Update: status,
    Ended: [
      { ID: "t2", State: "rejected", Says: "No such image: nosuch:1", At: "2026-11-27T10:00:03Z", Alike: 1 },
      { ID: "t3", State: "failed", Says: "task: non-zero exit (1)", At: "2026-11-27T10:00:02Z", Alike: 0 }
    ]
  })
  expect(body.Ended).toHaveLength(2)
  const said = showWhyService(body)
  expect(said).toStartWith("no task of web waits\n\nits update: rollback_completed: rollback completed\n\n")
  expect(said).toMatch(/2026-11-27T10:00:03 +web\.1\.t2 \(and 1 alike\) .*rejected +No such image: nosuch:1/)
})

test("of a service that is as it should be nothing more is said", async () => {
  const gateway = await TestGateway.start()
  await gateway.made("/services/create", serviceBody("web"))
  const { body } = await gateway.get("/why/web")
  expect(body).toEqual({ Service: "web", Tasks: [], Ended: [] })
  expect(showWhyService(body)).toBe("no task of web waits")
})

test("of an exclusive service it tells whose silence keeps a slot from being filled, and what would free it", async () => {
  const gateway = await TestGateway.start()
  const id = await gateway.made("/services/create", {
    ...serviceBody("db"),
    Labels: { "troupe.exclusive": "true" }
  })
  const other = await gateway.made("/services/create", serviceBody("web"))
  const task = (ID: string, ServiceID: string, State: "running" | "complete") => ({
    ...{ ID, ServiceID, Slot: 1, NodeID: nodeId },
    SpecVersion: gateway.ledger.read.get("service", ServiceID)?.SpecVersion ?? 0,
    Status: { Timestamp: "2026-11-27T10:00:00Z", State },
    DesiredState: "running" as const
  })
  await gateway.write({
    type: "tasks.change",
    v: 1,
    create: [task("t1", id, "running"), task("t0", id, "complete"), task("t2", other, "running")],
    update: [],
    remove: []
  })
  const observe = (state: "down" | "ready") =>
    gateway.write({ type: "node.observe", v: 1, nodes: [{ id: nodeId, status: { State: state } }] })
  await observe("down")
  const { body } = await gateway.get("/why/db")
  expect(body.Tasks).toMatchObject([{ ID: "t1", Alike: 0 }])
  expect(body.Tasks[0].Says).toMatch(/^node \S+ is down and may still run it: as the service is exclusive/)
  expect(body.Tasks[0].Says).toContain(`"docker node rm --force ${nodeId}"`)
  const told = async (taskId: string) => (await gateway.get(`/tasks/${taskId}`)).body.Status.Err
  const shown = () => told("t1")
  expect(await shown()).toBe(body.Tasks[0].Says)
  // The one has ended, the other's service may have two.
  expect([await told("t0"), await told("t2")]).toEqual([undefined, undefined])
  await observe("ready")
  expect((await gateway.get("/why/db")).body.Tasks).toEqual([])
  expect(await shown()).toBeUndefined()
})
