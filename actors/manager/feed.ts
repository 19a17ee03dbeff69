/**
 * The feed, `leader/feed/main`: follows the ledger and tells the leader's other actors what concerns them.
 *
 * It is the last child of the leader's tree: whoever it tells is there. When it starts, and whenever it starts
 * again, everyone looks at everything, so nothing that happened in between is missed.
 */
import { Effect } from "effect"
import { asksForScaling } from "#actors/autoscaler/policy.ts"
import { following } from "#actors/ledger/following.ts"
import type { ChangeSet, LedgerReader } from "#actors/ledger/reader.ts"
import { Ledger } from "#actors/ledger/service.ts"
import {
  allocatorAt,
  dispatcherAt,
  type Route,
  reaperAt,
  route,
  schedulerAt,
  serviceAt,
  volumesAt
} from "#actors/manager/route.ts"
import { modeOf } from "#actors/model/service-facts.ts"
import { look } from "#actors/service/protocol.ts"
import { type CommonAction, spawn, tell } from "#runtime/actions.ts"
import { actor } from "#runtime/actor.ts"
import type { Address } from "#runtime/address.ts"
import { type Moment, type Step, stay as stayWith } from "#runtime/behaviour.ts"
import { System } from "#runtime/system.ts"

export interface FeedProps {
  readonly ledger: LedgerReader
  /** The node that leads. */
  readonly nodeId: string
}

export type FeedMessage =
  /** From now on every change is told. */
  { readonly _tag: "Following" } | { readonly _tag: "Happened"; readonly set: ChangeSet }

/** Follows the ledger for as long as the actor lives. */
export interface FeedAction {
  readonly _tag: "Follow"
}

type FeedStep = Step<Route, FeedAction>
const stay = stayWith<Route, FeedAction>

export function start(props: FeedProps, _moment: Moment): FeedStep {
  const { ledger, nodeId } = props
  const state: Route = {
    ledger,
    everywhere: new Set(),
    serviceProps: { ledger },
    nodeProps: { ledger, ownId: nodeId }
  }
  return stay(state, { _tag: "Follow" })
}

export function decide(state: Route, message: FeedMessage, _moment: Moment): FeedStep {
  switch (message._tag) {
    case "Following":
      return lookEverywhere(state)
    case "Happened":
      return stay(state, ...route(state, message.set))
  }
}

function lookEverywhere(state: Route): FeedStep {
  const { ledger } = state
  const actions: Array<CommonAction> = []
  for (const node of ledger.all("node")) actions.push(spawn("node", node.ID, state.nodeProps))
  for (const service of ledger.all("service")) {
    if (modeOf(service.Spec).startsWith("global")) state.everywhere.add(service.ID)
    actions.push(spawn("service", service.ID, state.serviceProps), tell(serviceAt(service.ID), look))
    if (asksForScaling(service.Spec)) actions.push(spawn("autoscaler", service.ID, state.serviceProps))
  }
  actions.push(
    tell(allocatorAt, { _tag: "Look" }),
    tell(schedulerAt, { _tag: "Look" }),
    tell(dispatcherAt, { _tag: "Refresh" }),
    tell(reaperAt, { _tag: "Scan" }),
    tell(volumesAt, { _tag: "Look" })
  )
  return stay(state, ...actions)
}

const perform = Effect.fn("feed.perform")(function* (
  _action: FeedAction,
  self: Address
): Effect.fn.Return<never, never, Ledger | System> {
  const ledger = yield* Ledger
  const system = yield* System
  const say = (message: FeedMessage): void => system.tell(self, message)
  return yield* following(ledger, (set) => say({ _tag: "Happened", set })).pipe(
    Effect.andThen(() => {
      say({ _tag: "Following" })
      return Effect.never
    }),
    Effect.scoped
  )
})

/** At `leader/feed/main`. */
export const feed = actor<FeedProps, Route, FeedMessage, FeedAction, Ledger | System>({
  kind: "feed",
  // A change that is not told is lost until the next start: the log's pace bounds this, not the mailbox.
  mailbox: { capacity: 4_194_304 },
  start,
  decide,
  perform,
  secrets: (message) =>
    message._tag === "Happened" &&
    message.set.changes.some(({ kind }) => kind === "secret" || kind === "cluster"),
  summary: (state) => `at entry ${state.ledger.index}`
})
