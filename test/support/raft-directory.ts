/** Data directories on the real disk for tests, and the short way to open and ask a group of one. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { Effect, Exit, Schedule, Scope } from "effect"
import { founding } from "#actors/raft/core/configuration.ts"
import { type GroupSettings, openGroup as open, type RaftOpenError } from "#actors/raft/group.ts"
import type { OpenRaft, ProposeOutcome, RaftService, StateMachine } from "#actors/raft/protocol.ts"
import { bytesOf } from "#test/support/journal.ts"
import { noWire } from "#test/support/no-wire.ts"

export const newDirectory = (): { readonly path: string; readonly remove: () => void } => {
  const path = mkdtempSync(`${tmpdir()}/troupe-raft-`)
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

export interface OpenedGroup {
  readonly raft: RaftService
  readonly close: () => Promise<void>
}

export const smallDisk = { segmentBytes: 64 * 1024, reserveBytes: 0, zeroBytes: 16 * 1024 }

/** Opens until `close`; a halted member throws in the test rather than end it. */
export async function openGroup(
  directory: string,
  machine: StateMachine,
  settings: Partial<GroupSettings> = {},
  owner = { clusterId: "blue", nodeId: "n1" },
  around: <A, E, R>(opening: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> = (opening) => opening
): Promise<OpenedGroup> {
  const scope = Effect.runSync(Scope.make())
  const options: Parameters<OpenRaft<RaftOpenError>>[0] = { directory, machine, ...owner }
  const halted = (error: Error): void => {
    throw error
  }
  const alone = { wire: noWire, initial: founding(owner.nodeId) }
  const opening = open({ ...alone, disk: smallDisk, halted, ...settings })(options).pipe(
    Effect.tap((raft) => (raft.status().problem === undefined ? led(raft) : Effect.void)),
    Effect.provideService(Scope.Scope, scope)
  )
  try {
    const raft = await Effect.runPromise(around(opening))
    return { raft, close: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
  } catch (error) {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    throw error
  }
}

/** Completes once the member leads and has applied what it had: a group of one takes a moment for that. */
export const led = (raft: RaftService): Effect.Effect<number> =>
  raft.readIndex.pipe(Effect.retry({ schedule: Schedule.spaced("10 millis"), times: 1_000 }), Effect.orDie)

let seq = 0

export const propose = (raft: RaftService, text: string | Uint8Array): Promise<ProposeOutcome> =>
  new Promise((resolve) => {
    const data = typeof text === "string" ? bytesOf(text) : text
    raft.propose(data, { proposer: "n1", boot: "test", seq: ++seq }, resolve)
  })
