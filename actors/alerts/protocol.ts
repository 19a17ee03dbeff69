/** What can be said to the cluster's alerts, `leader/alerts/main`, and what they say. */
import { Schema } from "effect"
import type { Command } from "#actors/ledger/commands.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"

export interface AlertsProps {
  readonly ledger: LedgerReader
}

export const conditions = [
  "node-down",
  "managers-few",
  "disk-low",
  "clock-off",
  "certificate-ends",
  "service-short",
  "crash-loop",
  "update-paused",
  "load-unknown"
] as const
export type Condition = (typeof conditions)[number]

const text = Schema.String
/** Something that is wrong; who asks over the wire gets the same. */
export const Alert = Schema.Struct({
  condition: Schema.Literals(conditions),
  kind: Schema.Literals(["node", "service", "cluster"]),
  id: text,
  name: text,
  says: text
})
export type Alert = typeof Alert.Type

/** Milliseconds since the epoch: when the condition began to hold. */
export const Firing = Schema.Struct({ ...Alert.fields, since: Schema.Number })
export type Firing = typeof Firing.Type

/** That a condition holds, and since when where the ledger says that, in milliseconds since the epoch. */
export interface Judged extends Alert {
  readonly began?: number
}

/** What the ledger does not know. */
export interface Facts {
  readonly disks: ReadonlyArray<{ readonly nodeId: string; readonly free: number; readonly total: number }>
  /** How far nodes' clocks are ahead of the leader's, its own among them. */
  readonly clocks?: ReadonlyArray<{ readonly nodeId: string; readonly aheadMs: number }>
  /** Of the cluster's root, milliseconds since the epoch. */
  readonly rootEnds?: number
  /** Of the certificates that hosts are shown by, by the names of their secrets. */
  readonly certificateEnds?: Readonly<Record<string, number>>
  /** By host, why it is given no certificate by ACME. */
  readonly unissued?: Readonly<Record<string, string>>
  /** By service, the targets that it is scaled by and of which nothing is known. */
  readonly unknown?: ReadonlyMap<string, { readonly targets: ReadonlyArray<string> }>
}

export type AlertsMessage =
  /** How a `Gather` ended. */
  | { readonly _tag: "Gathered"; readonly facts: Facts }
  /** How a `Note` ended. Nobody is told of what was not written: whoever leads next would tell it again. */
  | { readonly _tag: "Noted"; readonly isWritten: boolean; readonly notices: ReadonlyArray<Notice> }
  /** Told by the ACME actor, all there are: by host, why it has no certificate, or no new one. */
  | { readonly _tag: "Unissued"; readonly problems: Readonly<Record<string, string>> }
  /** Told by a service's autoscaler, once a second as long as it is so: of which targets nothing is known. */
  | { readonly _tag: "Unknown"; readonly service: string; readonly targets: ReadonlyArray<string> }
  /** Asked; answered by `Fired`. */
  | { readonly _tag: "Tell" }
  /** Own timer. */
  | { readonly _tag: "LookAgain" }

/** What others are told when a condition holds for long enough, and when it does not any more. */
export interface Notice extends Firing {
  readonly state: "firing" | "ended"
  readonly at: number
}

/** What they accept from other managers, whose API answers, too. */
export const ToAlerts = Schema.Struct({ _tag: Schema.Literal("Tell") })

export type AlertsAction =
  | { readonly _tag: "Gather" }
  /** Writes what is about to be told; without commands, makes sure that this manager leads still. */
  | {
      readonly _tag: "Note"
      readonly notices: ReadonlyArray<Notice>
      readonly commands: ReadonlyArray<Command>
    }
  | { readonly _tag: "Notify"; readonly notices: ReadonlyArray<Notice>; readonly webhook?: string }

export const FiredAnswer = Schema.Struct({
  _tag: Schema.Literal("Fired"),
  alerts: Schema.Array(Firing)
})
export type Fired = typeof FiredAnswer.Type

/** On the cluster's spec: where notices are posted. */
export const webhookLabel = "troupe.alerts.webhook"

export const alertSubject = (cluster: string, condition: string, id: string): string =>
  `troupe.alert.v1.${cluster}.${condition}.${id}`
