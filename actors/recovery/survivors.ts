/** What the disks of surviving managers still have, each alone and all together, and which is the best to go on from. */
import {
  type Configuration,
  decodeConfiguration,
  membersOf,
  nobody
} from "#actors/raft/core/configuration.ts"
import { entryType } from "#actors/raft/entry.ts"
import {
  firstIncarnation,
  type Incarnation,
  isSameIncarnation,
  later,
  numberOfTerm
} from "#actors/raft/incarnation.ts"
import { nodeCipher } from "#actors/raft/storage/cipher-node.ts"
import type { Salvaged } from "#actors/raft/storage/salvage.ts"
import { contentsOf, merge, type Survey, survey } from "#actors/raft/storage/salvage-files.ts"
import { nodeVfs } from "#actors/raft/storage/vfs-node.ts"
import { cannot } from "#actors/recovery/errors.ts"
import { type Replayed, replay } from "#actors/recovery/replayed.ts"

/** One manager's disk. `alone` is the log that it has without the others, or what is missing of one. */
export interface Survivor {
  readonly survey: Survey
  readonly alone: ReturnType<typeof merge>
}

/** What all of them have together. `incarnation` is the latest that any of it shows. */
export interface Remains {
  readonly survivors: ReadonlyArray<Survivor>
  readonly found: Salvaged
  readonly state: Replayed
  readonly incarnation: Incarnation
  /** Who was in the group at the end, and who had left it. */
  readonly configuration: Configuration
}

/** Reads the logs in these data directories, changing nothing. Throws `RecoveryError`. */
export function surveyAll(
  directories: ReadonlyArray<string>,
  unlockKey?: Uint8Array
): ReadonlyArray<Survivor> {
  return directories.map((directory) => {
    try {
      const found = survey({ vfs: nodeVfs, cipher: nodeCipher, directory, ...(unlockKey && { unlockKey }) })
      return { survey: found, alone: merge([found]) }
    } catch (error) {
      throw cannot((error as Error).message)
    }
  })
}

/** Joins what survivors have, as far as Raft's rules prove that it belongs together. Throws `RecoveryError`. */
export function join(survivors: ReadonlyArray<Survivor>): Remains {
  const surveys = survivors.map(({ survey: one }) => one)
  // What an incarnation left behind may hold entries that the later one never had.
  const latest = surveys.map(({ incarnation }) => incarnation).reduce(later, firstIncarnation)
  const odd = surveys.find(({ incarnation }) => !isSameIncarnation(incarnation, latest))
  if (odd !== undefined) {
    throw cannot(
      `The log in ${odd.directory} is of incarnation ${odd.incarnation.number}, another one is of ${latest.number}: ` +
        "leave out what was left behind"
    )
  }
  const found = merge(surveys)
  if (found._tag === "Unsalvageable") throw cannot(found.missing.join("; "))
  const { snapshot } = contentsOf(found, surveys)
  const state = replay(snapshot?.chunks, found.entries)
  const seen = [
    latest,
    state.cluster.Incarnation ?? firstIncarnation,
    { number: numberOfTerm(found.term), id: "" }
  ]
  const config =
    found.entries.findLast(({ type }) => type === entryType.config)?.data ?? snapshot?.meta.config
  return {
    survivors,
    found,
    state,
    incarnation: seen.reduce(later),
    configuration: config === undefined ? nobody : decodeConfiguration(config)
  }
}

/** The group of one that follows: everybody else has left for good. */
export function aloneAfter(before: Configuration, raftId: string): Configuration {
  const others = [...before.removed, ...membersOf(before)].filter((id) => id !== raftId)
  return { ...nobody, voters: [raftId], removed: [...new Set(others)] }
}

/** The survivor whose own log is whole and goes furthest, and why it was chosen before the others. */
export function chooseBest(survivors: ReadonlyArray<Survivor>): {
  readonly best: Survivor
  readonly why: string
} {
  const [first, ...others] = survivors
  if (first === undefined) throw cannot("There is no log to go on from")
  const best = others.reduce((one, other) => (isBetter(other, one) ? other : one), first)
  const { alone } = best
  if (others.length === 0) return { best, why: "it is the only one" }
  if (alone._tag === "Unsalvageable") {
    return { best, why: "no log is whole alone, and this one has the most entries" }
  }
  const last = alone.entries.at(-1)?.term ?? alone.base?.term ?? 0
  return {
    best,
    why: `its log is whole alone and goes furthest: to entry ${alone.lastIndex} of term ${last}, as an election would choose`
  }
}

// As voters judge a candidate: the higher last term, then the longer log (Raft §5.4.1).
function isBetter(a: Survivor, b: Survivor): boolean {
  const rank = ({ alone, survey: { ranges, quarantined } }: Survivor): ReadonlyArray<number> => {
    if (alone._tag === "Unsalvageable") {
      return [
        0,
        0,
        0,
        ranges.reduce((sum, [from, to]) => sum + to - from + 1, 0),
        quarantined === undefined ? 1 : 0
      ]
    }
    const term = alone.entries.at(-1)?.term ?? alone.base?.term ?? 0
    return [1, term, alone.lastIndex, 0, quarantined === undefined ? 1 : 0]
  }
  const mine = rank(a)
  const theirs = rank(b)
  const at = mine.findIndex((value, i) => value !== theirs[i])
  return at >= 0 && (mine[at] as number) > (theirs[at] as number)
}
