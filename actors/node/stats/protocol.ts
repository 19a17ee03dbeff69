/** What a node's stats actor, `<node>/stats/main`, is told and does. */
import type { EntranceCounts } from "#actors/drivers/entrance.ts"
import type { Led, PortEndpoint } from "#actors/drivers/led.ts"
import type { MachineUse } from "#actors/drivers/machine/load.ts"
import type { Used } from "#actors/drivers/usage.ts"
import type { NodeFigures } from "#actors/meter/figures.ts"

/** A task that runs, and the container that it runs in. */
export interface Watched {
  readonly id: string
  readonly container: string
  readonly pid: number
  /** Its service follows its load: the leader wants to know. */
  readonly scaled: boolean
}

/** What a task had used by then. */
export interface Reading extends Used {
  readonly id: string
  /** Milliseconds since the epoch. */
  readonly at: number
}

export type StatsMessage =
  /**
   * Told by the session with every heartbeat: these and no others, in the session in which the leader knows them. `routed`
   * are the services whose requests the leader wants counted, and `hosted` the ports that tasks open here themselves.
   */
  | {
      readonly _tag: "Measure"
      readonly session: string
      readonly tasks: ReadonlyArray<Watched>
      readonly routed: ReadonlySet<string>
      readonly hosted: ReadonlyArray<PortEndpoint>
    }
  /** How a `Read` ended; what could not be read is missing. */
  | {
      readonly _tag: "Read"
      readonly at: number
      readonly machine: MachineUse
      readonly readings: ReadonlyArray<Reading>
      readonly entrance?: EntranceCounts
      /** By who counts: those who could be asked, if any were to be. */
      readonly led?: ReadonlyMap<string, Led>
    }
  /** Own timer. */
  | { readonly _tag: "ReadAgain" }

export type StatsAction =
  /** The entrance is asked only where `counting`, and what was led only where `leading`. */
  | {
      readonly _tag: "ReadNow"
      readonly tasks: ReadonlyArray<Watched>
      readonly counting: boolean
      readonly leading: boolean
      readonly hosted: ReadonlyArray<PortEndpoint>
    }
  /** Whoever listens hears it; nobody waits for it. */
  | { readonly _tag: "SayFigures"; readonly figures: NodeFigures }
