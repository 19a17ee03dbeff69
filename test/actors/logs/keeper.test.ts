import { expect, test } from "bun:test"
import type { ContainerState } from "#actors/drivers/executor.ts"
import { decide, type Keeper, start } from "#actors/logs/keeper/decide.ts"
import type { KeeperAction, KeeperMessage } from "#actors/logs/keeper/protocol.ts"
import type { CommonAction } from "#runtime/actions.ts"
import { address } from "#runtime/address.ts"
import { Fresh } from "#runtime/ids.ts"

const moment = { now: 0, fresh: Fresh.from(1), self: address("n", "log-keeper", "main") }
const labels = { "com.docker.swarm.task.id": "t" }
const container = (status: ContainerState["status"], id = "c"): ContainerState => ({
  id,
  name: "web.1.t",
  labels,
  status,
  pid: 0,
  exitCode: 0,
  oomKilled: false,
  error: "",
  startedAt: "",
  finishedAt: "",
  addresses: {},
  ports: []
})

class Keeping {
  #keeper: Keeper = start(undefined, moment).state

  say(message: KeeperMessage): ReadonlyArray<KeeperAction | CommonAction> {
    const { state, actions } = decide(this.#keeper, message, moment)
    this.#keeper = state
    return actions
  }
  survey = (...containers: ReadonlyArray<ContainerState>) => this.say({ _tag: "Surveyed", containers })
  ended = () => this.say({ _tag: "Followed", container: "c", outcome: { _tag: "Ended" } })
}

const following = { _tag: "Follow", container: { id: "c", labels }, runs: true } as const

test("a container that starts is followed once, also when it is seen again", () => {
  const keeping = new Keeping()
  expect(keeping.say({ _tag: "Happened", event: { _tag: "Started", containerId: "c", labels } })).toEqual([
    following
  ])
  expect(keeping.survey(container("running"))).toEqual([])
})

test("after a restart all are looked for: those that run are followed, those that ended are read to their end", () => {
  const keeping = new Keeping()
  expect(keeping.survey(container("exited"), container("running", "d"), container("created", "e"))).toEqual([
    { ...following, runs: false },
    { ...following, container: { id: "d", labels } }
  ])
})

test("one that was read to its end is left alone, unless it goes on", () => {
  const keeping = new Keeping()
  keeping.survey(container("running"))
  expect(keeping.ended()).toEqual([])
  expect(keeping.survey(container("exited"))).toEqual([])
  expect(keeping.survey(container("running"))).toEqual([following])
})

test("one that broke off is tried again, later and later; one that cannot be read is not", () => {
  const keeping = new Keeping()
  keeping.survey(container("running"))
  const breakOff = () =>
    keeping.say({ _tag: "Followed", container: "c", outcome: { _tag: "BrokeOff", reason: "away" } })
  const [first] = breakOff()
  expect(first).toMatchObject({ _tag: "Later", message: { _tag: "FollowAgain", container: "c" } })
  expect(keeping.say({ _tag: "FollowAgain", container: "c" })).toEqual([following])
  const [second] = breakOff()
  expect((second as { afterMs: number }).afterMs).toBeGreaterThan((first as { afterMs: number }).afterMs / 2)
  keeping.say({ _tag: "FollowAgain", container: "c" })
  expect(
    keeping.say({ _tag: "Followed", container: "c", outcome: { _tag: "Unreadable", reason: "none" } })
  ).toEqual([])
})

test("one that is gone is forgotten", () => {
  const keeping = new Keeping()
  keeping.survey(container("running"))
  keeping.survey()
  expect(keeping.survey(container("running"))).toEqual([following])
  keeping.say({ _tag: "Happened", event: { _tag: "Destroyed", containerId: "c", labels } })
  expect(keeping.survey(container("running"))).toEqual([following])
})
