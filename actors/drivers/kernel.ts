/** The part of the kernel that stretches overlays over nodes: VXLAN devices, forwarding and neighbour entries. */
import { Context, Effect } from "effect"
import type { Led, PortEndpoint } from "#actors/drivers/led.ts"
import type { WireGuard } from "#actors/model/objects.ts"
import type { OverlayTable } from "#actors/network/table.ts"

/** How a look at the kernel ended. */
export interface LayReport {
  /** Networks whose bridge the Engine has not made yet. */
  readonly bridgeless: ReadonlyArray<string>
  /** How many things of the kernel's were not as they should be, and were changed. */
  readonly changed: number
  /** Some task is not led to because it takes no connections yet: worth another look soon. */
  readonly isWaiting?: boolean
  /** Devices by the ids of the nodes that encrypted overlays reach through them. */
  readonly tunnels?: Readonly<Record<string, string>>
  /** What could not be made right, in words. */
  readonly problems: ReadonlyArray<string>
  /** It was a look that ended before it knew anything of all this: something new was waiting. */
  readonly gaveWay?: boolean
}

export const nothingLaid: LayReport = { bridgeless: [], changed: 0, problems: [] }

export interface KernelService {
  /**
   * Compares the kernel with the tables, which are all there are, and changes what differs. Of published ports it carries
   * those that are `open`, by key, and leaves what it has where that is not known. Where it is no look, but something new
   * is waited for, what others may have changed is left to the next look.
   */
  readonly lay: (
    tables: ReadonlyArray<OverlayTable>,
    open?: ReadonlyArray<string>,
    isLook?: boolean
  ) => Effect.Effect<LayReport>
  /** Leads nobody to tasks that these tables do not have, and changes nothing else. `lay` follows, and says what fails. */
  readonly withdraw: (
    tables: ReadonlyArray<OverlayTable>,
    open?: ReadonlyArray<string>
  ) => Effect.Effect<void>
  /** A look that is under way ends as soon as it has finished what it is writing. */
  readonly giveWay: Effect.Effect<void>
  /** Forgets what still leads to tasks that do not serve any more; `lay` has kept anything new away. Yields what stays. */
  readonly settle: (tables: ReadonlyArray<OverlayTable>) => Effect.Effect<ReadonlyArray<string>>
  /**
   * What it has led to tasks of the tables that it was laid by last, and what the Engine has by the ports of `hosted`, which are
   * those in host mode; nothing where that cannot be known.
   */
  readonly count: (hosted: ReadonlyArray<PortEndpoint>) => Effect.Effect<Led | undefined>
  /**
   * The public keys by which this node carries encrypted overlays, with one of `epoch` from now on; or why it cannot. Of the
   * keys before, it keeps the newest.
   */
  readonly makeKey: (epoch?: number) => Effect.Effect<WireGuard>
}

/** By default there is no kernel to change: overlays end at their bridges. */
export const Kernel = Context.Reference<KernelService>("troupe/actors/drivers/Kernel", {
  defaultValue: () => ({
    lay: () => Effect.succeed(nothingLaid),
    withdraw: () => Effect.void,
    giveWay: Effect.void,
    settle: () => Effect.succeed([]),
    count: () => Effect.succeed(undefined),
    makeKey: () => Effect.succeed({ Keys: [], Refusal: "its tasks are on no overlay" })
  })
})
