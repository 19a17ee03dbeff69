/**
 * `troupe log`: what the log in a data directory holds. Reads files only, also those of a node that runs: needs no
 * quorum, no daemon and no lock, and works on a copy.
 */
import { createHash } from "node:crypto"
import { resolve } from "node:path"
import { Console, Effect, Option, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { redact } from "#actors/ledger/redact.ts"
import { type Entry, entryType } from "#actors/raft/entry.ts"
import { commandOf } from "#actors/raft/host/envelope.ts"
import { nodeCipher } from "#actors/raft/storage/cipher-node.ts"
import { type Damage, type Inspection, inspect, openReadable } from "#actors/raft/storage/inspect.ts"
import { nodeVfs } from "#actors/raft/storage/vfs-node.ts"
import { table } from "#cli/print/table.ts"
import { nodeDataDirFlag } from "#cli/running.ts"
import { wordsOf } from "#runtime/words-of.ts"

export class LogError extends Schema.TaggedError<LogError>()("LogError", { message: Schema.String }) {}

const boundary = (name: string, what: string) =>
  Flag.Int(name).pipe(Flag.withDescription(what), Flag.optional)

const range = {
  dataDir: nodeDataDirFlag,
  from: boundary("from", "the first entry's index"),
  to: boundary("to", "the last entry's index")
}

const read = (dataDir: string): Effect.Effect<Inspection, LogError> =>
  Effect.try({
    try: () => inspect(openReadable({ vfs: nodeVfs, cipher: nodeCipher, directory: resolve(dataDir) })),
    catch: (error) => new LogError({ message: wordsOf(error) })
  })

const within = (
  { entries }: Inspection,
  from: Option.Option<number>,
  to: Option.Option<number>
): ReadonlyArray<Entry> => {
  const first = Option.getOrElse(from, () => 0)
  const last = Option.getOrElse(to, () => Number.POSITIVE_INFINITY)
  return [...entries.values()]
    .filter(({ index }) => index >= first && index <= last)
    .sort((a, b) => a.index - b.index)
}

const typeNames = new Map<number, string>(Object.entries(entryType).map(([name, number]) => [number, name]))

/** One entry for people; what it carries has everything sensitive left out. */
export interface ShownEntry {
  readonly index: number
  readonly term: number
  readonly type: string
  readonly command?: string
  readonly who?: string
  readonly why?: string
  readonly time?: string
  readonly bytes: number
  readonly body?: unknown
}

/** Never throws: an entry of a newer release, or one that is no command, is shown as what it is. */
export function showEntry({ index, term, type, data }: Entry): ShownEntry {
  const plain = { index, term, type: typeNames.get(type) ?? `type ${type}`, bytes: data.length }
  if (type !== entryType.command && type !== entryType.proposal) return plain
  try {
    const bytes = type === entryType.proposal ? commandOf(data) : data
    const { command, who, why, time } = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes))
    return {
      ...plain,
      command: `${command.type}${command.v === 1 ? "" : ` v${command.v}`}`,
      who: String(who),
      why: String(why),
      time: new Date(time).toISOString(),
      body: redact(command)
    }
  } catch {
    return { ...plain, command: "unreadable" }
  }
}

const sayDamage = ({ file, at, reason }: Damage): string =>
  `${file}${at === undefined ? "" : ` at byte ${at}`}: ${reason}`

const show = Command.make(
  "show",
  {
    ...range,
    json: Flag.Boolean("json").pipe(
      Flag.withDescription("one entry a line, with what it carries; secrets are left out"),
      Flag.withDefault(false)
    )
  },
  Effect.fn(function* ({ dataDir, from, to, json }) {
    const log = yield* read(dataDir)
    const shown = within(log, from, to).map(showEntry)
    if (json) {
      for (const entry of shown) yield* Console.log(JSON.stringify(entry))
    } else {
      const [newest] = log.snapshots
      if (newest !== undefined) yield* Console.log(`snapshot of entry ${newest.index}, term ${newest.term}`)
      const rows = shown.map(({ index, term, type, command, who, why, time }) => [
        `${index}`,
        `${term}`,
        command ?? type,
        who ?? "",
        why ?? "",
        time ?? ""
      ])
      yield* Console.log(table(["INDEX", "TERM", "WHAT", "WHO", "WHY", "TIME"], rows))
    }
    for (const damage of log.damage) yield* Console.error(`damaged: ${sayDamage(damage)}`)
  })
).pipe(Command.withDescription("List the entries of the log"))

const verify = Command.make(
  "verify",
  { dataDir: nodeDataDirFlag },
  Effect.fn(function* ({ dataDir }) {
    const log = yield* read(dataDir)
    const indexes = [...log.entries.keys()].sort((a, b) => a - b)
    yield* Console.log(
      `node ${log.owner.nodeId} of cluster ${log.owner.clusterId}, term ${log.hardState.term}, ` +
        `vote ${log.hardState.vote === "" ? "none" : log.hardState.vote}`
    )
    yield* Console.log(
      indexes.length === 0
        ? "no entries"
        : `${indexes.length} entries from ${indexes[0]} to ${indexes.at(-1)}, known to be committed to ${log.commitHint}`
    )
    for (const { index, term, bytes } of log.snapshots) {
      yield* Console.log(`snapshot of entry ${index}, term ${term}, ${bytes} bytes: whole`)
    }
    if (log.quarantined !== undefined) yield* Console.log(`out of service: ${log.quarantined}`)
    for (const damage of log.damage) yield* Console.log(`damaged: ${sayDamage(damage)}`)
    if (log.damage.length > 0) {
      return yield* new LogError({
        message: `The log in ${dataDir} is damaged in ${log.damage.length} places`
      })
    }
    yield* Console.log("everything is as it was written")
  })
).pipe(Command.withDescription("Check every byte of the log; ends with 1 when anything is damaged"))

const digest = Command.make(
  "digest",
  range,
  Effect.fn(function* ({ dataDir, from, to }) {
    const log = yield* read(dataDir)
    const chosen = within(log, from, to)
    const [first] = chosen
    const last = chosen.at(-1)
    if (first === undefined || last === undefined)
      return yield* new LogError({ message: "No such entries here" })
    if (last.index - first.index + 1 !== chosen.length) {
      return yield* new LogError({
        message: `Between entries ${first.index} and ${last.index} some are missing`
      })
    }
    yield* Console.log(`entries ${first.index} to ${last.index}   ${digestOf(chosen)}`)
  })
).pipe(Command.withDescription("One SHA-256 over a range of entries, to compare with another manager's"))

/** The same on every member that has the same entries, wherever its files are and whatever its keys. */
export function digestOf(entries: ReadonlyArray<Entry>): string {
  const hash = createHash("sha256")
  for (const { index, term, type, data } of entries) {
    hash.update(`${index} ${term} ${type} ${data.length}\n`).update(data)
  }
  return hash.digest("hex")
}

export const log = Command.make("log").pipe(
  Command.withDescription("What the log of this manager holds, from its files"),
  Command.withSubcommands([show, verify, digest])
)
