/** What the benchmark tells its processes, and what they answer. */
import type { Access } from "#test/bench/raft/servers.ts"

export interface Setting {
  readonly kind: "group" | "skeleton"
  readonly id: string
  readonly ids: ReadonlyArray<string>
  readonly directory: string
  readonly access: Access
}

export type Order =
  | {
      readonly _tag: "Measure"
      readonly open: number
      readonly count: number
      readonly bytes: number
      /** Takes a snapshot as soon as writing has begun. */
      readonly compact?: boolean
    }
  | { readonly _tag: "WriteOnce" }
  | { readonly _tag: "Compact" }
  | { readonly _tag: "Report" }

export interface Report {
  readonly leads: boolean
  /** Bytes. */
  readonly rss: number
  /** Messages of consensus that it has said. */
  readonly sent: number
  readonly applied: number
}

/** Where clients of other processes write to. */
export const writeSubject = (id: string): string => `bench.${id}.write`
