/** The ledger over a Raft log: commands become entries, applied entries become changes that anyone can follow. */
import { Effect, Queue, type Scope } from "effect"
import type { Result } from "#actors/ledger/apply.ts"
import type { Command, Entry } from "#actors/ledger/commands.ts"
import { encodeEntry } from "#actors/ledger/encode.ts"
import { levelOf } from "#actors/ledger/features.ts"
import { Machine } from "#actors/ledger/machine.ts"
import type { Mark } from "#actors/ledger/marks.ts"
import type { LedgerReader, MakeView, View } from "#actors/ledger/reader.ts"
import type { LedgerService, Origin, WriteOutcome } from "#actors/ledger/service.ts"
import type { Cluster } from "#actors/model/objects.ts"
import type { OpenRaft, ProposeOutcome } from "#actors/raft/protocol.ts"
import type { Host } from "#runtime/host.ts"

export interface LedgerOptions<E> {
  readonly openRaft: OpenRaft<E>
  readonly directory: string
  readonly clusterId: string
  readonly nodeId: string
  /** This member's name in the Raft group; the node's id when absent. */
  readonly raftId?: string
  readonly host: Host
  /** Random per process start; a proposal is known by (node, boot, sequence). */
  readonly boot: string
  /** Called with what a listener of the feed threw; the feed goes on. */
  readonly onDefect?: (defect: unknown) => void
  /** Kept from the start on, so that whoever leads next has them: made late they cost a look at every task at once. */
  readonly views?: ReadonlyArray<MakeView<View>>
  /** Told when managers' states differ and it cannot be told whose is wrong; the console by default. */
  readonly onDoubt?: (words: string) => void
}

const marking: Origin = { who: "ledger", why: "members compare their states" }
const mayTell = (ledger: LedgerReader, what: keyof typeof levelOf): boolean =>
  (ledger.cluster()?.FeatureLevel ?? 0) >= levelOf[what]

/** How long a proposal may take before its end is called unknown. */
const patienceMs = 10_000

/** Opens the log, restores the state, and serves until the scope closes. */
export const openLedger = Effect.fnUntraced(function* <E>(
  options: LedgerOptions<E>
): Effect.fn.Return<LedgerService, E, Scope.Scope> {
  const machine = new Machine(
    options.onDefect ?? ((defect) => console.error("ledger follower failed", defect))
  )
  for (const make of options.views ?? []) machine.tables.view(make)
  const raft = yield* options.openRaft({
    directory: options.directory,
    clusterId: options.clusterId,
    nodeId: options.raftId ?? options.nodeId,
    machine
  })
  let seq = 0

  const send = (
    command: Command,
    origin: Origin,
    done: (outcome: WriteOutcome) => void,
    onlyInTerm?: number
  ): void => {
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
      done({ _tag: "Unknown", message: `No answer from the log within ${patienceMs} ms` })
    )
    const ended = (outcome: ProposeOutcome): void => {
      giveUp()
      done(toWriteOutcome(outcome))
    }
    const id = { proposer: options.nodeId, boot: options.boot, seq }
    raft.propose(encodeEntry(entry), id, ended, onlyInTerm)
  }
  const propose: LedgerService["propose"] = (command, origin, onlyInTerm) =>
    Effect.callback<WriteOutcome>((resume) =>
      send(command, origin, (outcome) => resume(Effect.succeed(outcome)), onlyInTerm)
    )

  const tell = ({ index, digest }: Mark): void =>
    // However it ends, the next one comes.
    send({ type: "ledger.digest", v: 1, index, digest }, marking, () => {})
  const isLeading = (): boolean => raft.leadership()._tag === "Leading"
  const tellIfLeading = (mark: Mark): void => {
    if (isLeading() && mayTell(machine.tables, "ledger.digest")) tell(mark)
  }
  // A member that catches up comes by marks that it has told before, which it sees once it has caught up.
  const tellOnce = (mark: Mark): Effect.Effect<void> =>
    Effect.gen(function* () {
      yield* raft.readIndex
      const isDue = machine.marks().includes(mark) && !machine.hasTold(mark.index, options.nodeId)
      if (isDue && !isLeading() && mayTell(machine.tables, "ledger.digest of all")) tell(mark)
    }).pipe(Effect.ignore)
  const tellings = yield* Queue.sliding<Mark>(1)
  yield* Queue.take(tellings).pipe(Effect.flatMap(tellOnce), Effect.forever, Effect.forkScoped)
  // A turn of its own: a mark is made in the middle of an entry.
  machine.onMark = (mark) => {
    options.host.after(0, () => (isLeading() ? tellIfLeading(mark) : Queue.offerUnsafe(tellings, mark)))
  }
  machine.onDoubt = options.onDoubt ?? ((words) => console.error(words))
  const following = raft.onLeadership(({ _tag }) => {
    const latest = machine.marks().at(-1)
    if (_tag === "Leading" && latest !== undefined) options.host.after(0, () => tellIfLeading(latest))
  })
  yield* Effect.addFinalizer(() => Effect.sync(() => following.unsubscribe()))

  const pace = (): void => {
    const cluster = machine.tables.cluster()
    raft.snapshotEvery?.(snapshotEntries(cluster))
    if (cluster !== undefined) raft.keepSnapshots?.(cluster.Spec.Raft?.KeepOldSnapshots ?? 0)
  }
  const pacing = machine.follow(({ changes }) => {
    if (changes.some(({ kind }) => kind === "cluster")) pace()
  })
  yield* Effect.addFinalizer(() => Effect.sync(() => pacing.unsubscribe()))
  pace()

  return {
    read: readerOf(machine),
    propose,
    readIndex: raft.readIndex,
    follow: (listen) => machine.follow(listen),
    onLeadership: raft.onLeadership,
    leadership: raft.leadership,
    status: () => ({
      ...raft.status(),
      digest: machine.digest(),
      featureLevel: machine.tables.cluster()?.FeatureLevel ?? 0
    }),
    group: raft.group,
    snapshot: () => ({
      cluster: machine.tables.cluster(),
      index: machine.tables.index,
      term: raft.status().term,
      digest: machine.digest(),
      chunks: machine.snapshot()
    }),
    marks: () => machine.marks(),
    ...(raft.figures === undefined ? {} : { figures: raft.figures }),
    ...(raft.wrapKeys === undefined ? {} : { wrapKeys: raft.wrapKeys })
  }
})

/** Swarm writes its own default into the spec; it stands for ours. */
const swarmSnapshotInterval = 10_000

/** After how many entries managers take a snapshot; undefined for as many as is usual. */
function snapshotEntries(cluster: Cluster | undefined): number | undefined {
  const entries = cluster?.Spec.Raft?.SnapshotInterval ?? 0
  return entries === 0 || entries === swarmSnapshotInterval ? undefined : entries
}

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
    tasksOnNetwork: (networkId) => machine.tables.tasksOnNetwork(networkId),
    tasksInState: (state) => machine.tables.tasksInState(state),
    servicesOfTasks: () => machine.tables.servicesOfTasks(),
    servicesUsing: (kind, id) => machine.tables.servicesUsing(kind, id),
    servicesPublishing: (protocol, port) => machine.tables.servicesPublishing(protocol, port),
    view: (make) => machine.tables.view(make)
  }
}
