/** What runs on a manager only while it leads. */

import { acme } from "#actors/acme/actor.ts"
import { alerts } from "#actors/alerts/actor.ts"
import { keymaster } from "#actors/authority/keymaster/actor.ts"
import { autoscaler } from "#actors/autoscaler/actor.ts"
import { dispatcher } from "#actors/dispatcher/actor.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { feed } from "#actors/manager/feed.ts"
import { members } from "#actors/manager/members/actor.ts"
import { reaper } from "#actors/manager/reaper.ts"
import { allocator } from "#actors/network/allocator.ts"
import { node } from "#actors/node/actor.ts"
import { scheduler } from "#actors/scheduler/actor.ts"
import { service } from "#actors/service/actor.ts"
import { volumes } from "#actors/volumes/actor.ts"
import { many, permanent, type SupervisorSpec, supervisor } from "#runtime/supervisor.ts"

export interface LeaderProps {
  readonly ledger: LedgerReader
  /** The Raft term in which this manager leads. */
  readonly term: number
  readonly clusterId: string
  readonly nodeId: string
  /** This manager's name in the Raft group. */
  readonly raftId: string
}

/** A write that has no answer by then is one that only the next leader can judge. */
const stopWithin = "1 second"

/**
 * The leader's actors, at home `leader`. Each works from the ledger alone and can begin again at any time; the
 * feed comes last, because it speaks to all others.
 */
export const leaderTree = ({ ledger, nodeId, raftId, term }: LeaderProps): SupervisorSpec =>
  supervisor({
    name: `leader of term ${term}`,
    strategy: "one-for-one",
    children: [
      permanent(members, { props: { ledger, raftId }, stopWithin }),
      permanent(keymaster, { props: { ledger }, stopWithin }),
      permanent(allocator, { props: { ledger }, stopWithin }),
      permanent(scheduler, { props: { ledger }, stopWithin }),
      many(node, { stopWithin }),
      permanent(dispatcher, { props: { ledger, nodeId }, stopWithin }),
      many(service, { stopWithin }),
      many(autoscaler, { stopWithin }),
      permanent(volumes, { props: { ledger }, stopWithin }),
      permanent(acme, { props: { ledger }, stopWithin: 0 }),
      permanent(alerts, { props: { ledger }, stopWithin: 0 }),
      permanent(reaper, { props: { ledger }, stopWithin }),
      // What it does never ends by itself.
      permanent(feed, { props: { ledger, nodeId }, stopWithin: 0 })
    ]
  })
