/** The ledger over a Raft log: commands become entries, applied entries become changes that anyone can follow. */
import { Effect, type Scope } from "effect"
import { apply, type Result } from "#actors/ledger/apply.ts"
import type { Command, Entry } from "#actors/ledger/commands.ts"
import { decodeEntry, decodeSnapshot, encodeEntry, encodeSnapshot } from "#actors/ledger/encode.ts"
import type { ChangeSet, LedgerReader } from "#actors/ledger/reader.ts"
import { Recent } from "#actors/ledger/recent.ts"
import type { LedgerService, Origin, WriteOutcome } from "#actors/ledger/service.ts"
import { LedgerTables } from "#actors/ledger/tables.ts"
import type { OpenRaft, ProposeOutcome, StateMachine } from "#actors/raft/protocol.ts"
import type { Host } from "#runtime/host.ts"

export interface LedgerOptions<E> {
  readonly openRaft: OpenRaft<E>
  readonly directory: string
  readonly clusterId: string
  readonly nodeId: string
  readonly host: Host
  /** Random per process start; a proposal is known by (node, boot, sequence). */
  readonly boot: string
  /** Called with what a listener of the feed threw; the feed goes on. */
  readonly onDefect?: (defect: unknown) => void
}

/** How long a proposal may take before its end is called unknown. */
const patienceMs = 10_000

/** The replicated state machine: the tables, and what they answered lately. */
class Machine implements StateMachine {
  tables = new LedgerTables()
  readonly recent = new Recent()
  readonly #listeners = new Set<(changes: ChangeSet) => void>()
  readonly #onDefect: (defect: unknown) => void

  constructor(onDefect: (defect: unknown) => void) {
    this.#onDefect = onDefect
  }

  apply(index: number, data: Uint8Array): Result {
    const entry = decodeEntry(data)
    const { proposer, boot, seq } = entry
    const seen = this.recent.look(proposer, boot, seq)
    this.tables.index = index
    if (seen._tag === "Repeated") return seen.result
    if (seen._tag === "TooOld") {
      const message =
        "The proposal is older than the results that are kept: read the ledger to learn how it ended"
      return { _tag: "Refused", refusal: { code: "unavailable", message } }
    }
    const result = apply(this.tables, index, entry)
    this.recent.keep(proposer, boot, seq, result)
    this.#announce()
    return result
  }

  snapshot(): Iterable<Uint8Array> {
    return encodeSnapshot(this.tables, this.recent)
  }

  restore(chunks: Iterable<Uint8Array>): void {
    this.tables = decodeSnapshot(chunks, this.recent)
  }

  follow(listen: (changes: ChangeSet) => void): { readonly unsubscribe: () => void } {
    this.#listeners.add(listen)
    return { unsubscribe: () => this.#listeners.delete(listen) }
  }

  #announce(): void {
    const changes = this.tables.takeChanges()
    if (changes.changes.length === 0) return
    for (const listen of this.#listeners) {
      // One follower's defect is not the state machine's: halting here would stop every member alike.
      try {
        listen(changes)
      } catch (defect) {
        this.#onDefect(defect)
      }
    }
  }
}

/** Opens the log, restores the state, and serves until the scope closes. */
export const openLedger = Effect.fnUntraced(function* <E>(
  options: LedgerOptions<E>
): Effect.fn.Return<LedgerService, E, Scope.Scope> {
  const machine = new Machine(
    options.onDefect ?? ((defect) => console.error("ledger follower failed", defect))
  )
  const raft = yield* options.openRaft({
    directory: options.directory,
    clusterId: options.clusterId,
    nodeId: options.nodeId,
    machine
  })
  let seq = 0

  const propose = (command: Command, origin: Origin): Effect.Effect<WriteOutcome> =>
    Effect.callback<WriteOutcome>((resume) => {
      seq += 1
      const entry: Entry = {
        command,
        proposer: options.nodeId,
        boot: options.boot,
        seq,
        who: origin.who,
        why: origin.why,
        // The log's time never goes back, whatever the machine's clock does.
        time: Math.max(Math.floor(options.host.now()), machine.tables.time)
      }
      const giveUp = options.host.after(patienceMs, () =>
        resume(Effect.succeed({ _tag: "Unknown", message: `No answer from the log within ${patienceMs} ms` }))
      )
      raft.propose(encodeEntry(entry), { proposer: options.nodeId, boot: options.boot, seq }, (outcome) => {
        giveUp()
        resume(Effect.succeed(toWriteOutcome(outcome)))
      })
    })

  return {
    read: readerOf(machine),
    propose,
    readIndex: raft.readIndex,
    follow: (listen) => machine.follow(listen),
    onLeadership: raft.onLeadership,
    leadership: raft.leadership,
    status: raft.status,
    group: raft.group
  }
})

function toWriteOutcome(outcome: ProposeOutcome): WriteOutcome {
  switch (outcome._tag) {
    case "Applied": {
      const result = outcome.result as Result
      return result._tag === "Applied" ? { _tag: "Applied", applied: result.applied } : result
    }
    case "Overloaded":
      return { _tag: "Refused", refusal: { code: "unavailable", message: outcome.message } }
    default:
      return outcome
  }
}

/** Always the present tables, also after a snapshot replaced them. */
function readerOf(machine: Machine): LedgerReader {
  return {
    get index() {
      return machine.tables.index
    },
    get time() {
      return machine.tables.time
    },
    cluster: () => machine.tables.cluster(),
    get: (kind, id) => machine.tables.get(kind, id),
    all: (kind) => machine.tables.all(kind),
    count: (kind) => machine.tables.count(kind),
    byName: (kind, name) => machine.tables.byName(kind, name),
    taskSpec: (serviceId, specVersion) => machine.tables.taskSpec(serviceId, specVersion),
    tasksOfService: (serviceId) => machine.tables.tasksOfService(serviceId),
    tasksOfNode: (nodeId) => machine.tables.tasksOfNode(nodeId),
    tasksInSlot: (serviceId, slot) => machine.tables.tasksInSlot(serviceId, slot),
    tasksInState: (state) => machine.tables.tasksInState(state),
    servicesUsing: (kind, id) => machine.tables.servicesUsing(kind, id)
  }
}
