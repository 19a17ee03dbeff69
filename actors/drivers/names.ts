/** Names on this node's overlays: who answers questions for them, and how tasks' questions get there. */
import { Context, Effect } from "effect"
import type { ResolvConf } from "#actors/network/names/resolv-conf.ts"
import type { OverlayTable } from "#actors/network/table.ts"

export interface NamesReport {
  /** The machine's own resolv.conf where tasks of this node may ask us; absent where they have to ask the Engine. */
  readonly host?: ResolvConf
  /** What keeps names from being answered, in words. */
  readonly problems: ReadonlyArray<string>
}

export interface NamesService {
  /**
   * Answers from these tables, which are all there are, at the node's address on each. Where it is no look, what others may
   * have changed is left to the next one.
   */
  readonly serve: (tables: ReadonlyArray<OverlayTable>, isLook?: boolean) => Effect.Effect<NamesReport>
}

/** By default the Engine answers, which knows the containers of its own machine. */
export const Names = Context.Reference<NamesService>("troupe/actors/drivers/Names", {
  defaultValue: () => ({ serve: () => Effect.succeed({ problems: [] }) })
})
