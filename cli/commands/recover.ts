/** `troupe recover`: what the disks of surviving managers still have, and a cluster that is begun anew from it. */
import { resolve } from "node:path"
import { Console, Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { entryType } from "#actors/raft/entry.ts"
import { showIncarnation } from "#actors/raft/incarnation.ts"
import { contentsOf } from "#actors/raft/storage/salvage-files.ts"
import { showCounts } from "#actors/recovery/backup.ts"
import { cannot } from "#actors/recovery/errors.ts"
import { chooseBest, join, type Remains, type Survivor, surveyAll } from "#actors/recovery/survivors.ts"
import { beginAfresh, beginInPlace, carefully } from "#cli/begin-anew.ts"
import { unlockKeyFlag, unlockKeysOf } from "#cli/passphrase.ts"
import { table } from "#cli/print/table.ts"

const yes = Flag.Boolean("yes").pipe(
  Flag.withAlias("y"),
  Flag.withDescription("do it; without this, only say what would be done"),
  Flag.withDefault(false)
)
const into = Flag.String("into").pipe(
  Flag.withDescription(
    "one of these directories, or a fresh one, in which the cluster begins anew; default: the best survivor's own"
  ),
  Flag.optional
)

export const recover = Command.make(
  "recover",
  {
    directories: Argument.String("data-dir").pipe(
      Argument.withDescription("data directories of managers that do not run, or copies of them"),
      Argument.variadic({ min: 1 })
    ),
    into,
    unlockKeyFile: unlockKeyFlag,
    yes
  },
  Effect.fn(function* ({ directories, into: target, unlockKeyFile, yes: isMeant }) {
    const keys = yield* unlockKeysOf(unlockKeyFile)
    const paths = [...new Set(directories.map((one) => resolve(one)))]
    const survivors: Array<Survivor> = []
    for (const path of paths) {
      // One that nothing can be read of does not keep the others from being read.
      const attempts = [undefined, ...keys].map((key) => carefully(() => surveyAll([path], key)))
      const found = yield* Effect.result(Effect.firstSuccessOf(attempts))
      if (found._tag === "Success") survivors.push(...found.success)
      else yield* Console.error(`left out: ${found.failure.message}`)
    }
    if (survivors.length === 0)
      return yield* cannot(
        "No log can be read: where the unlock key is missing, give it with --unlock-key-file; else a backup is what is left (troupe restore)"
      )
    yield* Console.log(showSurvivors(survivors))
    for (const { survey } of survivors) {
      for (const { file, at, reason } of survey.damage) {
        yield* Console.log(
          `${survey.directory}: ${file}${at === undefined ? "" : ` at byte ${at}`}: ${reason}`
        )
      }
    }
    const { best, why } = chooseBest(survivors)
    yield* Console.log(`\nbest: ${best.survey.directory}, because ${why}`)
    const remains = yield* carefully(() => join(survivors))
    yield* Console.log(showRemains(remains, best))
    const place = resolve(target._tag === "Some" ? target.value : best.survey.directory)
    if (!isMeant) {
      yield* Console.log(`\nNothing was changed. With --yes the cluster begins anew in ${place}.`)
      return
    }
    const incarnation = paths.includes(place)
      ? yield* beginInPlace(place, Date.now(), remains)
      : yield* inFresh(place, remains)
    yield* Console.log(
      `\nThe cluster begins anew in ${place}, in incarnation ${showIncarnation(incarnation)}; a log that was there is kept as raft.damaged-<n>.\n` +
        `Start it: troupe node --role manager --data-dir ${place}\n` +
        "The other managers are left behind: they leave with docker swarm leave --force and join again."
    )
  })
).pipe(
  Command.withDescription(
    "Say what the disks of surviving managers still have; with --yes, begin the cluster anew from it"
  )
)

const inFresh = Effect.fnUntraced(function* (
  place: string,
  { found, survivors, state, incarnation }: Remains
) {
  const { Roots: roots, ID: clusterId } = state.cluster
  if (roots === undefined) return yield* cannot("There is no certificate authority in the state")
  const contents = contentsOf(
    found,
    survivors.map(({ survey }) => survey)
  )
  const begun = yield* beginAfresh(place, { clusterId, roots, incarnation, contents }, Date.now())
  return begun.incarnation
})

function showSurvivors(survivors: ReadonlyArray<Survivor>): string {
  const rows = survivors.map(({ survey, alone }) => {
    const { directory, owner, incarnation, term, commitHint, snapshots, ranges, damage, quarantined } = survey
    const last = Math.max(snapshots[0]?.index ?? 0, ranges.at(-1)?.[1] ?? 0)
    const state =
      alone._tag === "Unsalvageable"
        ? "not whole alone"
        : damage.length > 0
          ? "damaged, whole all the same"
          : quarantined === undefined
            ? "whole"
            : "whole, out of service"
    return [
      directory,
      owner.nodeId,
      `${incarnation.number}`,
      `${term}`,
      `${commitHint}`,
      `${last}`,
      `${snapshots[0]?.index ?? "-"}`,
      ranges.map(([from, to]) => `${from}-${to}`).join(" ") || "-",
      state
    ]
  })
  return table(
    ["DIRECTORY", "MEMBER", "INCARNATION", "TERM", "COMMIT", "LAST", "SNAPSHOT", "ENTRIES", "STATE"],
    rows
  )
}

/** What would be kept, what is uncertain, and what would be lost. */
function showRemains({ found, state, incarnation, survivors }: Remains, best: Survivor): string {
  const { lastIndex, committed, doubts, entries } = found
  const alone = best.alone._tag === "Salvaged" ? best.alone.lastIndex : 0
  const uncertain = entries.filter(
    ({ index, type }) => index > committed && (type === entryType.command || type === entryType.proposal)
  )
  return [
    `kept: all entries up to ${lastIndex}, ${committed} of them known to be committed; digest ${state.digest}`,
    `      ${showCounts(state)}`,
    ...(lastIndex > alone && survivors.length > 1
      ? [
          `      of these, the best has ${alone === 0 ? "no whole log" : `those up to ${alone}`}; the others fill in the rest`
        ]
      : []),
    ...(uncertain.length === 0
      ? []
      : [
          `uncertain: ${uncertain.length} writes after entry ${committed} were perhaps never acknowledged; they are kept`
        ]),
    ...doubts.map((doubt) => `perhaps lost: ${doubt}`),
    `now in incarnation ${showIncarnation(incarnation)}; managers: ${state.managers.map(({ name }) => name).join(", ")}`
  ].join("\n")
}
