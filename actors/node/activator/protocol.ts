/**
 * What a node's activator, `<node>/activator/main`, is told and does: of services that have no task until somebody asks, it
 * sees who waits at this node's HTTP entrance and published ports, and says so to the leader at once.
 */

/** A service without a serving task, whose first caller begins one. */
export interface Sleeper {
  readonly id: string
  /** It has a route of the HTTP entrance. */
  readonly routed: boolean
  /** Its published TCP ports. */
  readonly ports: ReadonlyArray<number>
}

export type ActivatorMessage =
  /** Told by the session whenever it is news, and with every heartbeat: these and no others. */
  | { readonly _tag: "Watch"; readonly session: string; readonly sleepers: ReadonlyArray<Sleeper> }
  /** How a `Look` ended: the services that somebody waits for. */
  | { readonly _tag: "Looked"; readonly waiting: ReadonlyArray<string> }
  /** Own timer. */
  | { readonly _tag: "LookAgain" }

/** Answered by `Looked`. */
export type ActivatorAction = { readonly _tag: "Look"; readonly sleepers: ReadonlyArray<Sleeper> }
