/** `troupe status`: the cluster at a glance, and what in it is not as it should be. */
import { Console, Effect } from "effect"
import { Command } from "effect/cli"
import { type Api, apiAt, isLeaderless, socketFlag, staleApiAt } from "#cli/client.ts"
import { jsonFlag, printJson } from "#cli/json-flag.ts"
import type { Alert } from "#cli/print/alerts.ts"
import {
  type Glance,
  glanceOf,
  type Info,
  type Node,
  type Service,
  showStatus,
  type Task
} from "#cli/print/status.ts"

export const status = Command.make(
  "status",
  { json: jsonFlag, socket: socketFlag },
  Effect.fn(function* ({ json, socket }) {
    const show = (glance: Glance) => (json ? printJson(glance) : Console.log(showStatus(glance, Date.now())))
    const known = yield* Effect.result(askAll(apiAt(socket)))
    if (known._tag === "Success") return yield* show(glanceOf(known.success))
    const { failure } = known
    if (!isLeaderless(failure)) return yield* failure
    const last = yield* askAll(staleApiAt(socket))
    const nodes = last.nodes.map(({ ManagerStatus: _led, ...node }) => node)
    yield* show(glanceOf({ ...last, nodes }, true))
    return yield* failure
  })
).pipe(Command.withDescription("The cluster at a glance"))

const askAll = ({ get }: Api) =>
  Effect.all(
    {
      info: get<Info>("/info"),
      nodes: get<ReadonlyArray<Node>>("/nodes"),
      services: get<ReadonlyArray<Service>>("/services?status=true"),
      tasks: get<ReadonlyArray<Task>>("/tasks"),
      // A leader of an earlier release tells nobody else.
      alerts: get<ReadonlyArray<Alert>>("/alerts").pipe(Effect.orElseSucceed(() => []))
    },
    { concurrency: "unbounded" }
  )
