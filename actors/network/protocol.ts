/**
 * What a node's network actor, `<node>/network/main`, is told, what it does and what it answers.
 *
 * It alone makes and removes bridges, one thing at a time per network, so that thirty tasks that need the same
 * network at once make one.
 */
import type { PortProblem } from "#actors/drivers/data-plane.ts"
import type { LayReport } from "#actors/drivers/kernel.ts"
import type { NamesReport } from "#actors/drivers/names.ts"
import type { WireGuard } from "#actors/model/objects.ts"
import type { NetworkPlan, PublishedPort } from "#actors/network/plan.ts"
import type { OverlayTable } from "#actors/network/table.ts"
import type { AssignedFile } from "#actors/node/protocol.ts"

export type NetworkMessage =
  /** Told by a task before it creates its container; answered to it by `Networked` or `Unnetworked`. */
  | { readonly _tag: "Need"; readonly taskId: string; readonly plans: ReadonlyArray<NetworkPlan> }
  /** Told by the session: these are wanted here from now on, beside those before. */
  | { readonly _tag: "Want"; readonly plans: ReadonlyArray<NetworkPlan> }
  /** Told by the session: these and no others are wanted here. */
  | { readonly _tag: "Keep"; readonly plans: ReadonlyArray<NetworkPlan> }
  /** Told by the session: no task here needs them any more; each goes when its last container is gone. */
  | { readonly _tag: "Drop"; readonly networks: ReadonlyArray<string> }
  /**
   * Told by the session: the overlays that this node takes part in, all of them, and the secrets with certificates that
   * its HTTP entrance shows for services on them.
   */
  | {
      readonly _tag: "Tables"
      readonly tables: ReadonlyArray<OverlayTable>
      readonly certificates?: ReadonlyArray<AssignedFile>
    }
  /** Told by the session: all published ports of the cluster. The newest replaces the ones before. */
  | { readonly _tag: "Publish"; readonly ports: ReadonlyArray<PublishedPort> }
  /** Told by the session; answered to it by `Routed` once everything that it told before is carried out. */
  | { readonly _tag: "Confirm"; readonly session: string; readonly seq: number }
  /** Told by the session, which is answered by `Keyed`: a key of this epoch is wanted; without one, what there is. */
  | { readonly _tag: "MakeKey"; readonly epoch?: number }
  /** Asked by whoever shows it; answered by a `NetworkView`. */
  | { readonly _tag: "Show" }
  /** Results of own actions. */
  | { readonly _tag: "Ensured"; readonly id: string; readonly bridge: string }
  | {
      readonly _tag: "NotEnsured"
      readonly id: string
      readonly message: string
      readonly temporary: boolean
    }
  | { readonly _tag: "NetworkGone"; readonly id: string }
  | { readonly _tag: "NetworkKept"; readonly id: string; readonly message: string }
  | { readonly _tag: "Listed"; readonly networks: ReadonlyArray<string> }
  | { readonly _tag: "NotListed"; readonly message: string }
  | {
      readonly _tag: "Published"
      readonly problems: ReadonlyArray<PortProblem>
      /** The ports that are this node's own now, by key. */
      readonly open: ReadonlyArray<string>
    }
  | { readonly _tag: "NotPublished"; readonly message: string }
  | {
      readonly _tag: "Laid"
      readonly round: number
      readonly report: LayReport
      readonly names: NamesReport
    }
  /** A look has ended for something new. */
  | { readonly _tag: "GaveWay" }
  | { readonly _tag: "Keyed"; readonly wireGuard: WireGuard }
  /** Own timers. */
  | { readonly _tag: "RemoveAgain"; readonly id: string }
  | { readonly _tag: "PublishAgain" }
  | { readonly _tag: "ListAgain" }
  | { readonly _tag: "LookAgain" }

/** What a node knows of its overlays, and how its kernel was found. */
export interface NetworkView {
  readonly tables: ReadonlyArray<OverlayTable>
  /** How often the kernel was looked at. */
  readonly rounds: number
  /** Changes that a look found necessary although nothing new had been told. */
  readonly repairs: number
  /** Devices by the ids of the nodes that encrypted overlays reach through them. */
  readonly tunnels?: Readonly<Record<string, string>>
  readonly problems: ReadonlyArray<string>
  /** The kernel is being made as it should be. */
  readonly isLaying: boolean
  /** Networks whose bridge is not there yet. */
  readonly bridgeless: ReadonlyArray<string>
}

export type NetworkAction =
  /** Makes the bridge if it is missing. Answered by `Ensured` or `NotEnsured`. */
  | { readonly _tag: "EnsureNetwork"; readonly plan: NetworkPlan }
  /** Removes the bridge unless a container uses it. Answered by `NetworkGone` or `NetworkKept`. */
  | { readonly _tag: "RemoveNetwork"; readonly id: string }
  /** Looks which of our networks exist here. Answered by `Listed` or `NotListed`. */
  | { readonly _tag: "ListNetworks" }
  /** Makes exactly these ports answer. Answered by `Published` or `NotPublished`. */
  | { readonly _tag: "PublishPorts"; readonly ports: ReadonlyArray<PublishedPort> }
  /** Makes the kernel, the names and the HTTP entrance as the tables say, or repairs them. Answered by `Laid`, or by `GaveWay`. */
  | {
      readonly _tag: "Lay"
      readonly round: number
      readonly tables: ReadonlyArray<OverlayTable>
      /** To begin with: the tables before, without who serves no more. */
      readonly withdrawn?: ReadonlyArray<OverlayTable>
      readonly certificates?: ReadonlyArray<AssignedFile>
      /** The published ports that the kernel may carry, by key; those before while that is not known. */
      readonly open?: ReadonlyArray<string>
      /** Nothing new was told. */
      readonly isLook?: boolean
    }
  /** Something new waits for the look that is under way. Not answered. */
  | { readonly _tag: "GiveWay" }
  /** Answered by `Keyed`. */
  | { readonly _tag: "MakeKey"; readonly epoch?: number }
  /** Says in the log what could not be made right. Not answered. */
  | { readonly _tag: "Warn"; readonly problems: ReadonlyArray<string> }
  /** Says in the log what only this node suffers from. Not answered. */
  | { readonly _tag: "Complain"; readonly problems: ReadonlyArray<PortProblem> }
