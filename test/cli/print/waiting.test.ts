import { expect, test } from "bun:test"
import { toIso } from "#actors/model/time.ts"
import { sayWaiting, whoWaits } from "#cli/print/waiting.ts"

const now = Date.parse("2026-11-28T07:30:00Z")
const ago = (seconds: number): string => toIso(now - seconds * 1_000)

test("services are named of which a task stays before running for more than half a minute", () => {
  const task = (ServiceID: string, State: string, seconds: number, DesiredState = "running") => ({
    ID: `${ServiceID}1`,
    ServiceID,
    DesiredState,
    CreatedAt: ago(500),
    Status: { State, Timestamp: ago(seconds) }
  })
  const tasks = [
    task("assigned", "assigned", 31),
    task("assigned", "new", 400),
    task("job", "pending", 31, "complete"),
    task("young", "assigned", 30),
    task("runs", "running", 400),
    task("ended", "failed", 400),
    task("unwanted", "assigned", 400, "shutdown")
  ]
  expect(whoWaits(tasks, now)).toEqual(["assigned", "job"])
})

test("in each state before running", () => {
  const states = ["new", "pending", "assigned", "accepted", "preparing", "ready", "starting", "running"]
  const task = (State: string) => ({
    ID: State,
    ServiceID: State,
    DesiredState: "running",
    CreatedAt: ago(500),
    Status: { State, Timestamp: ago(31) }
  })
  expect(whoWaits(states.map(task), now)).toEqual(states.slice(0, -1))
})

test("a task that waits is named with its node, its state, since when, why and what helps", () => {
  const wait = { ID: "t1", Name: "web.1.t1", DesiredState: "running", Since: ago(60), Node: "n2" }
  const told = (more: { readonly State: string; readonly Says: string; readonly Failing?: boolean }) =>
    sayWaiting([{ ...wait, ...more }], now)
  expect(told({ State: "assigned", Says: "scheduler assigned task to node" })).toEqual([
    {
      text: "task web.1.t1 on n2 is assigned since 2026-11-28T07:29:00.000Z: its node has not begun with it",
      mend: "troupe doctor on n2 says what is wrong there; docker node update --availability drain n2 runs it elsewhere",
      mayPass: false
    }
  ])
  const failing = told({ State: "preparing", Says: "network shop: port 53 is taken", Failing: true })
  expect(failing).toMatchObject([
    { text: expect.stringContaining(": network shop: port 53 is taken"), mayPass: false }
  ])
  expect(told({ State: "preparing", Says: "preparing" })).toMatchObject([{ mayPass: true }])
  expect(told({ State: "starting", Says: "starting" })).toMatchObject([
    { mend: "troupe logs web shows what it writes", mayPass: true }
  ])
})

test("what would help a task that no node suits is what its diagnosis says; one that is to start later does not wait", () => {
  const Diagnosis = { Suitable: [], TurnedAway: [], Changes: ["docker node update --label-add disk=ssd n1"] }
  const wait = {
    ID: "t1",
    Name: "web.1.t1",
    DesiredState: "running",
    Since: ago(60),
    Says: "no suitable node",
    Alike: 2
  }
  expect(sayWaiting([{ ...wait, State: "pending", Failing: true, Diagnosis }], now)).toEqual([
    {
      text: "task web.1.t1 (and 2 alike) is pending since 2026-11-28T07:29:00.000Z: no suitable node",
      mend: "docker node update --label-add disk=ssd n1",
      mayPass: false
    }
  ])
  const startsIn = (seconds: number) => ({ ...wait, State: "ready", StartAfter: ago(-seconds) })
  expect(sayWaiting([startsIn(60), startsIn(-30)], now)).toEqual([])
  expect(sayWaiting([startsIn(-31)], now)).toHaveLength(1)
})
