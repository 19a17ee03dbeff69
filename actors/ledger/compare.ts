/**
 * What is different between two states: a member that got a snapshot in place of the entries it missed tells its followers
 * of the way from one to the other, a few changes at a time.
 */
import type { Change, ChangeSet, Kind, LedgerReader, Tables } from "#actors/ledger/reader.ts"
import { kinds } from "#actors/ledger/tables.ts"
import type { Cluster, Node } from "#actors/model/objects.ts"
import { equal } from "#actors/model/service-facts.ts"

/** Objects looked at in one step, and so the most that followers are told at once: a millisecond or two. */
const objectsPerStep = 256

/**
 * Objects that are gone, then those that are new or at another version, kind by kind. An object never goes back to a
 * version that it had, so equal versions are equal objects, but for what is written beside them. Both stay as they are
 * until the last step.
 *
 * Looked at twice, so that each set says how many changes there are in all: to keep a million of them for that would cost
 * more than to find them again.
 */
export function* compareInSteps(
  before: LedgerReader,
  after: LedgerReader
): Generator<ChangeSet | undefined, void> {
  let of = 0
  for (const found of differences(before, after)) {
    of += found.length
    yield undefined
  }
  const { index, time } = after
  let told = 0
  for (const changes of differences(before, after)) {
    yield changes.length === 0 ? undefined : { index, time, changes, part: { after: told, of } }
    told += changes.length
  }
}

/** Of so many objects each time, none where they are alike. */
function* differences(before: LedgerReader, after: LedgerReader): Generator<ReadonlyArray<Change>, void> {
  let looked = 0
  let changes: Array<Change> = []
  const isDue = (): boolean => ++looked % objectsPerStep === 0
  const take = (): ReadonlyArray<Change> => {
    const taken = changes
    changes = []
    return taken
  }
  const [old, now] = [before.cluster(), after.cluster()]
  if (old?.Version.Index !== now?.Version.Index || !equal(besideCluster(old), besideCluster(now)))
    changes.push({ kind: "cluster", ...(old && { before: old }), ...(now && { after: now }) })
  for (const kind of [...kinds].reverse()) {
    for (const object of before.all(kind)) {
      if (isDue()) yield take()
      if (after.get(kind, object.ID) === undefined) changes.push(changeOf(kind, object, undefined))
    }
  }
  for (const kind of kinds) {
    for (const object of after.all(kind)) {
      if (isDue()) yield take()
      const known = before.get(kind, object.ID)
      if (known?.Version.Index !== object.Version.Index || !isSameBeside(kind, known, object))
        changes.push(changeOf(kind, known, object))
    }
  }
  yield take()
}

/** What is written without a new version, so that nobody's `docker node update` is out of sequence by it. */
const besideNode = ({ Gateways, Attached }: Node) => ({ Gateways, Attached })
const besideCluster = (cluster: Cluster | undefined) => cluster?.Alerts

const isSameBeside = (kind: Kind, before: Tables[Kind], after: Tables[Kind]): boolean =>
  kind !== "node" || equal(besideNode(before as Node), besideNode(after as Node))

const changeOf = (kind: Kind, before: Tables[Kind] | undefined, after: Tables[Kind] | undefined): Change =>
  ({ kind, ...(before && { before }), ...(after && { after }) }) as Change
