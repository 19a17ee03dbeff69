/**
 * What consensus itself costs: three members in one thread, whose disks and links take no time. What is left is the
 * core, the host and the messages' way through bytes and back; everything that a cluster does on top is slower by its
 * disks and its network, and faster by having a thread for each.
 */
import process from "node:process"
import { founding } from "#actors/raft/core/configuration.ts"
import { decodeMessage, encodeMessage } from "#actors/raft/host/codec.ts"
import { Member, type MemberStorage } from "#actors/raft/host/member.ts"
import { hostSettings } from "#actors/raft/host/settings.ts"
import type { StateMachine } from "#actors/raft/protocol.ts"
import type { StorageStatus } from "#actors/raft/storage.ts"
import { Fresh } from "#runtime/ids.ts"

const ids = ["a", "b", "c"]
const command = new Uint8Array(256)

/** Turns in rounds: what is deferred in one happens in the next. */
class Rounds {
  #next: Array<() => void> = []
  readonly defer = (turn: () => void): void => void this.#next.push(turn)
  run(): void {
    const now = this.#next
    this.#next = []
    for (const turn of now) turn()
  }
}

function storage(defer: (turn: () => void) => void): MemberStorage {
  // What a member looks at; the rest of a status is for people.
  const status = {
    diskBytes: 0,
    logBytes: 0,
    snapshotIndex: 0,
    snapshotBytes: 0,
    low: false
  } as StorageStatus
  return {
    recovered: { hardState: { term: 0, vote: "" }, commitHint: 0, entries: [], lastIndex: 0, notes: [] },
    persist: ({ token }, durable) => defer(() => durable(token)),
    loadSnapshot: () => [],
    saveSnapshot: (_meta, chunks, done) => {
      for (let next = chunks.next(); next.done !== true; next = chunks.next());
      defer(() => done(true))
    },
    status: () => status,
    quarantine: (_reason, done) => done(),
    close: (done) => done()
  }
}

function measure(
  inFlight: number,
  writes: number
): { readonly cpuMicroseconds: number; readonly messages: number } {
  const rounds = new Rounds()
  const members = new Map<string, Member>()
  let messages = 0
  for (const id of ids) {
    const machine: StateMachine = { apply: (index) => index, snapshot: () => [], restore: () => {} }
    members.set(
      id,
      new Member({
        id,
        boot: id,
        initial: founding(...ids),
        settings: hostSettings,
        chance: Fresh.from(id.charCodeAt(0)).state(),
        storage: storage(rounds.defer),
        machine,
        turns: { soon: rounds.defer, later: rounds.defer, shortly: rounds.defer, monotonic: () => 0 },
        send: (message) => {
          messages++
          const bytes = encodeMessage(message, "bench")
          rounds.defer(() => members.get(message.to)?.receive(decodeMessage(bytes, "bench")))
        },
        halted: (error) => {
          throw error
        },
        quarantined: () => {}
      })
    )
  }
  const all = [...members.values()]
  const leading = (): Member | undefined => all.find((member) => member.leadership()._tag === "Leading")
  for (let i = 0; i < 1_000 && leading() === undefined; i++) {
    for (const member of all) member.tick()
    for (let n = 0; n < 20; n++) rounds.run()
  }
  const leader = leading()
  if (leader === undefined) throw new Error("nobody leads")
  let done = 0
  let seq = 0
  const propose = (): void => {
    leader.propose(command, { proposer: "a", boot: "x", seq: ++seq }, () => {
      done++
      if (seq < writes) propose()
    })
  }
  messages = 0
  const began = process.cpuUsage()
  for (let i = 0; i < inFlight; i++) propose()
  for (let i = 0; done < writes; i++) {
    rounds.run()
    if (i % 500 === 0) for (const member of all) member.tick()
  }
  const { user, system } = process.cpuUsage(began)
  return { cpuMicroseconds: (user + system) / writes, messages }
}

measure(64, 20_000)
for (const [inFlight, writes] of [
  [1, 20_000],
  [64, 200_000],
  [512, 400_000]
] as const) {
  const { cpuMicroseconds, messages } = measure(inFlight, writes)
  const each = (messages / writes).toFixed(2)
  const cost = cpuMicroseconds.toFixed(1)
  // Processor time, because the machine may be busy with others; a third of it and a bit more is the leader's.
  console.log(
    `${inFlight} in flight: ${cost} µs of processor and ${each} messages a write, three members together`
  )
}
