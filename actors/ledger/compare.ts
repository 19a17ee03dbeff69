/**
 * What is different between two states: a member that got a snapshot in place of the entries it missed tells its followers
 * of the way from one to the other, in one step.
 */
import type { Change, ChangeSet, Kind, LedgerReader, Tables } from "#actors/ledger/reader.ts"
import { kinds } from "#actors/ledger/tables.ts"

/** Objects looked at in one step: well below a millisecond. */
const objectsPerStep = 256

/**
 * Objects that are gone, then those that are new or at another version, kind by kind. An object never goes back to a
 * version that it had, so equal versions are equal objects. Both stay as they are until the last step.
 */
export function* compareInSteps(before: LedgerReader, after: LedgerReader): Generator<void, ChangeSet> {
  let looked = 0
  const changes: Array<Change> = []
  const [old, now] = [before.cluster(), after.cluster()]
  if (old?.Version.Index !== now?.Version.Index)
    changes.push({ kind: "cluster", ...(old && { before: old }), ...(now && { after: now }) })
  for (const kind of [...kinds].reverse()) {
    for (const object of before.all(kind)) {
      if (++looked % objectsPerStep === 0) yield
      if (after.get(kind, object.ID) === undefined) changes.push(changeOf(kind, object, undefined))
    }
  }
  for (const kind of kinds) {
    for (const object of after.all(kind)) {
      if (++looked % objectsPerStep === 0) yield
      const known = before.get(kind, object.ID)
      if (known?.Version.Index !== object.Version.Index) changes.push(changeOf(kind, known, object))
    }
  }
  return { index: after.index, time: after.time, changes }
}

const changeOf = (kind: Kind, before: Tables[Kind] | undefined, after: Tables[Kind] | undefined): Change =>
  ({ kind, ...(before && { before }), ...(after && { after }) }) as Change
