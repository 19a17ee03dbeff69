/** A nats-server's turns. */
import { expect, test } from "bun:test"
import { begin, decide, type NatsState, summarize } from "#actors/nats/decide.ts"
import type { NatsMessage } from "#actors/nats/protocol.ts"
import type { Moment, ReplyTo } from "#runtime/behaviour.ts"
import { Fresh } from "#runtime/ids.ts"

const status = { state: "running", pid: 7, version: "2.9.10", adopted: false, restarts: 0 } as const
const self = { home: "n1", kind: "nats", id: "main" }
const asker = (to: string): ReplyTo => ({ to, deadline: 0 })

const after = (messages: ReadonlyArray<readonly [NatsMessage, ReplyTo?]>) => {
  let state: NatsState = begin({ status }).state
  const actions: unknown[] = []
  for (const [message, from] of messages) {
    const moment: Moment = { now: 0, fresh: Fresh.from(1), self, asker: from }
    const step = decide(state, message, moment)
    state = step.state
    actions.push(...step.actions)
  }
  return { state, actions }
}

test("it is followed from what is known of it", () => {
  expect(begin({ status }).actions).toEqual([{ _tag: "Follow", seen: status }])
  const down = { ...status, state: "restarting" } as const
  const { state, actions } = after([[{ _tag: "Changed", status: down }]])
  expect(actions).toEqual([{ _tag: "Follow", seen: down }])
  expect(summarize(state)).toBe("nats-server 2.9.10 restarting, pid 7")
})

test("several who ask for a restart get one, and all hear how it ended; the next one is another", () => {
  const { actions } = after([
    [{ _tag: "RestartServer" }, asker("a")],
    [{ _tag: "RestartServer" }, asker("b")],
    [{ _tag: "Restarted", problem: "it is down" }],
    [{ _tag: "RestartServer" }, asker("c")]
  ])
  const answer = { _tag: "ServerRestarted", problem: "it is down" }
  expect(actions).toEqual([
    { _tag: "Restart" },
    { _tag: "Reply", to: asker("a"), message: answer },
    { _tag: "Reply", to: asker("b"), message: answer },
    { _tag: "Restart" }
  ])
})

test("each who tells it its peers hears when they were taken, in order", () => {
  const peers = { _tag: "SetPeers", routes: [], members: [] } as const
  const { actions } = after([
    [peers, asker("a")],
    [peers],
    [peers, asker("c")],
    [{ _tag: "Joined" }],
    [{ _tag: "Joined" }]
  ])
  expect(actions.slice(3)).toEqual([{ _tag: "Reply", to: asker("a"), message: { _tag: "PeersSet" } }])
})
