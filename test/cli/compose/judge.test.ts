/** How far a service has come, and when it is known that it will not come further. */
import { expect, test } from "bun:test"
import type { Task } from "#actors/model/objects.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { type Before, judge } from "#cli/compose/judge.ts"

type RestartPolicy = NonNullable<NonNullable<ServiceSpec["TaskTemplate"]>["RestartPolicy"]>

const service = (RestartPolicy: RestartPolicy = {}) => ({
  ID: "web",
  Version: { Index: 1 },
  Spec: { Name: "web", Mode: { Replicated: { Replicas: 2 } }, TaskTemplate: { RestartPolicy } },
  ServiceStatus: { RunningTasks: 1, DesiredTasks: 2 }
})
let made = 0
const task = (Slot: number, State: Task["Status"]["State"], Err = ""): Task => ({
  ID: `t${++made}`,
  ServiceID: "web",
  Slot,
  SpecVersion: 1,
  Version: { Index: 1 },
  CreatedAt: "",
  UpdatedAt: "",
  DesiredState: State === "failed" || State === "complete" ? "shutdown" : "running",
  Status: { State, Timestamp: `2026-01-01T00:00:${String(made).padStart(2, "0")}Z`, Err }
})
const none: Before = { changed: new Set(), tasks: new Set() }
const isStopped = (policy: RestartPolicy, tasks: ReadonlyArray<Task>, before = none) =>
  judge(service(policy), tasks, before).isStopped

test("a service whose attempts are used in one slot will not come, and the task that failed last is named", () => {
  const [first, second] = [task(2, "failed"), task(2, "failed")]
  const runs = task(1, "running")
  expect(isStopped({ MaxAttempts: 1 }, [runs, first])).toBe(false)
  expect(judge(service({ MaxAttempts: 1 }), [runs, first, second], none)).toMatchObject({
    isStopped: true,
    failed: second.ID,
    why: ["its restart policy begins no more tasks"]
  })
  expect(isStopped({ MaxAttempts: 2 }, [runs, first, second])).toBe(false)
  expect(isStopped({ MaxAttempts: 1, Window: 1e9 }, [runs, first, second])).toBe(false)
  expect(isStopped({ MaxAttempts: 1 }, [first, second, task(2, "ready")])).toBe(false)
})

test("without restarts one failure is the end; on failure completion is; otherwise none", () => {
  const tasks = [task(1, "running"), task(2, "failed")]
  expect(isStopped({ Condition: "none" }, tasks)).toBe(true)
  expect(isStopped({ Condition: "on-failure" }, tasks)).toBe(false)
  expect(isStopped({ Condition: "on-failure" }, [task(2, "complete")])).toBe(true)
  expect(isStopped({ Condition: "any" }, [task(2, "complete")])).toBe(false)
})

test("how tasks of the spec before ended says nothing", () => {
  const old = task(2, "failed")
  expect(
    isStopped({ Condition: "none" }, [task(1, "running"), old], { ...none, tasks: new Set([old.ID]) })
  ).toBe(false)
})

test("a service that was rolled back has failed where it was to be changed, and is what the file says where it was not", () => {
  const tasks = [task(1, "running"), task(2, "running")]
  const standing = (State: string, changed: ReadonlyArray<string>) => {
    const rolled = { ...service(), UpdateStatus: { State, Message: "rollback completed" } }
    const counted = { ...rolled, ServiceStatus: { RunningTasks: 2, DesiredTasks: 2 } }
    return judge(counted, tasks, { ...none, changed: new Set(changed) })
  }
  expect(standing("rollback_completed", ["web"])).toMatchObject({ isThere: false, isStopped: true })
  expect(standing("rollback_completed", [])).toMatchObject({ isThere: true, isStopped: false, why: [] })
  expect(standing("rollback_started", [])).toMatchObject({ isThere: false, isStopped: false })
  expect(standing("rollback_paused", [])).toMatchObject({ isThere: false, isStopped: true })
})

test.each([
  ["no suitable node (scheduling constraints not satisfied on 2 nodes)", true],
  ["no suitable node (scheduling constraints not satisfied on 1 node; unsupported platform on 1 node)", true],
  [
    "no suitable node (scheduling constraints not satisfied on 1 node; 1 node not available for new tasks)",
    false
  ],
  ["no suitable node (insufficient resources on 2 nodes)", false],
  ["no suitable node", false]
])("a task waits for good or not: %s", (why, expected) => {
  expect(isStopped({}, [task(1, "running"), task(2, "pending", why)])).toBe(expected)
})
