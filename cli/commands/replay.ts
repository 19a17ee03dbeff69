/** `troupe replay`: makes the decisions of a flight recording again, on any machine, and compares; `recorder dump`. */
import { readFileSync } from "node:fs"
import { Console, Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { type LedgerLine, ledgerName, RecordedLedger, secretFields } from "#actors/ledger/history.ts"
import { definitionOf } from "#cli/catalogue.ts"
import { asking, nodeFlag } from "#cli/commands/tree.ts"
import { showStep } from "#cli/print/replay.ts"
import { table } from "#cli/print/table.ts"
import { nodeDataDirFlag } from "#cli/running.ts"
import { parseAddress } from "#runtime/address.ts"
import { type Recording, readRecording } from "#runtime/recording.ts"
import { type ReplayStep, replay as replayRecording } from "#runtime/replay.ts"
import { wordsOf } from "#runtime/words-of.ts"

const file = Argument.String("file").pipe(Argument.withDescription("what troupe recorder dump wrote"))
const actor = Flag.String("actor").pipe(
  Flag.withDescription(
    "whose decisions, such as leader/service/ID; without it, the actors in the recording are listed"
  ),
  Flag.optional
)

/** The recording said one thing and the decision now says another. */
class Diverged extends Error {
  readonly exitCode = 3
}

export const replay = Command.make(
  "replay",
  { file, actor },
  Effect.fn(function* ({ file: path, actor: wanted }) {
    const text = yield* Effect.try({
      try: () => readFileSync(path, "utf8"),
      catch: (cause) => new Error(`Cannot read ${path}: ${wordsOf(cause)}`)
    })
    const recording = readRecording(text)
    if (recording instanceof Error)
      return yield* Effect.fail(new Error(`Cannot replay ${path}: ${recording.message}`))
    if (recording.broken > 0)
      yield* Console.error(`${recording.broken} lines cannot be read and are left out`)
    if (Option.isNone(wanted)) return yield* Console.log(actorsIn(recording))
    yield* replayActor(recording, wanted.value)
  })
).pipe(Command.withDescription("Make the decisions of a recorded actor again, and compare"))

const replayActor = Effect.fnUntraced(function* (recording: Recording, name: string) {
  const self = parseAddress(name)
  const definition = self && definitionOf(self.home, self.kind)
  if (!definition)
    return yield* Effect.fail(new Error(`--actor ${name}: no actor of this program is called so`))
  const ledger = new RecordedLedger(recording.shared.map(({ body }) => body as LedgerLine))
  const steps = replayRecording(recording, name, {
    definition,
    secretFields,
    shared: new Map([[ledgerName, ledger.tables]]),
    advance: ledger.advance
  })
  const counts = { replayed: 0, skipped: 0 }
  let last: ReplayStep | undefined
  for (const step of steps) {
    last = step
    if (step.verdict === "skipped") counts.skipped++
    else if (step.record._tag === "Decided" || step.record._tag === "Started") counts.replayed++
    const words = showStep(step)
    if (words !== undefined) yield* Console.log(words)
  }
  if (last === undefined) {
    return yield* Effect.fail(
      new Error(`--actor ${name}: the recording has nothing of it; without --actor it lists whom it has`)
    )
  }
  if (last.verdict === "different" || last.verdict === "crashed-differently") {
    const words = `It diverges at decision ${last.record.seq} of life ${last.record.life}: ${last.words}`
    return yield* Effect.fail(new Diverged(words))
  }
  if (last.verdict === "stopped") {
    const place = `decision ${last.record.seq} of life ${last.record.life}`
    return yield* Effect.fail(new Error(`The replay stops at ${place}: ${last.words}`))
  }
  const skipped =
    counts.skipped === 0 ? "" : `; ${counts.skipped} records before them have nothing to begin from`
  if (counts.replayed === 0)
    return yield* Effect.fail(new Error(`Nothing of ${name} can be replayed${skipped}`))
  yield* Console.log(`${counts.replayed} decisions came to the same states and actions${skipped}`)
})

function actorsIn({ records, header }: Recording): string {
  const found = new Map<string, { decisions: number; crashes: number; lives: Set<number> }>()
  for (const record of records) {
    const seen = found.get(record.actor) ?? { decisions: 0, crashes: 0, lives: new Set() }
    if (record._tag === "Decided") seen.decisions++
    if (record._tag === "Crashed") seen.crashes++
    seen.lives.add(record.life)
    found.set(record.actor, seen)
  }
  const rows = [...found].map(([name, { decisions, crashes, lives }]) => [
    name,
    ...[decisions, lives.size, crashes].map(String)
  ])
  const when = new Date(header.at).toISOString()
  return `Node ${header.nodeId}, written at ${when}, ${header.dropped} older records dropped\n\n${table(["ACTOR", "DECISIONS", "LIVES", "CRASHES"], rows)}`
}

const dump = Command.make(
  "dump",
  { dataDir: nodeDataDirFlag, node: nodeFlag },
  Effect.fn(function* ({ dataDir, node }) {
    const { asked, nodeId } = yield* asking(dataDir, node)
    const { path, bytes, records } = yield* asked.dumpRecording(nodeId)
    yield* Console.log(path)
    yield* Console.error(`${records} records, ${bytes} bytes, on node ${nodeId}`)
  }, Effect.scoped)
).pipe(Command.withDescription("Write the flight recording of a node to a file in its data directory"))

export const recorder = Command.make("recorder").pipe(
  Command.withDescription("What a node's actors decided lately"),
  Command.withSubcommands([dump])
)
