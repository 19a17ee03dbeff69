/** What a node's stats actor, `<node>/stats/main`, is told and does. */

/** A task whose service follows its load, and the container that it runs in. */
export interface Watched {
  readonly id: string
  readonly container: string
  readonly pid: number
}

/** What a task had used by then: billionths of a core's second, and bytes. */
export interface Reading {
  readonly id: string
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly cpuNanos: number
  readonly memoryBytes: number
}

export type StatsMessage =
  /** Told by the session with every heartbeat: these and no others, in the session in which the leader knows them. */
  | { readonly _tag: "Measure"; readonly session: string; readonly tasks: ReadonlyArray<Watched> }
  /** How a `Read` ended; what could not be read is missing. */
  | { readonly _tag: "Read"; readonly readings: ReadonlyArray<Reading> }
  /** Own timer. */
  | { readonly _tag: "ReadAgain" }

export type StatsAction = { readonly _tag: "ReadNow"; readonly tasks: ReadonlyArray<Watched> }
