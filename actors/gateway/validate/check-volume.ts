/**
 * Whether a cluster volume can be meant, and what it is when all that was left out is filled in. The order of the checks
 * and their words are SwarmKit's, so that of two faults the same one is named.
 */
import { find } from "#actors/gateway/find.ts"
import { isRefusal } from "#actors/gateway/response.ts"
import { render } from "#actors/gateway/shape/render.ts"
import { clusterVolumeSpec } from "#actors/gateway/shape/volume.ts"
import { checkFileName } from "#actors/gateway/validate/check-name.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { eitherOf, type Refusal, rpc } from "#actors/model/errors.ts"
import { equal } from "#actors/model/service-facts.ts"
import type { ClusterVolumeSpec, VolumeCreateRequest, VolumeSpec } from "#actors/model/spec.ts"

const scopes = ["single", "multi"] as const
const sharings = ["none", "readonly", "onewriter", "all"] as const
const availabilities = ["active", "pause", "drain"] as const

const invalid = (text: string): Refusal => rpc("invalidArgument", text)

/** The word that was asked for, the first one where nothing was; or what is expected. */
function among<const Word extends string>(
  field: string,
  words: ReadonlyArray<Word>,
  asked = ""
): { readonly word: Word } | Refusal {
  const word = asked === "" ? words[0] : words.find((one) => one === asked)
  return word === undefined
    ? invalid(`${field} ${JSON.stringify(asked)}: expected ${eitherOf(words)}`)
    : { word }
}

/** The whole spec of a new volume, with secrets by their ids. */
export function completeVolume(
  reader: LedgerReader,
  asked: VolumeCreateRequest
): { readonly spec: VolumeSpec } | Refusal {
  const { Name = "", Driver = "", DriverOpts = {}, Labels = {}, ClusterVolumeSpec: cluster = {} } = asked
  if (Driver === "") return invalid("driver must be specified")
  if (Name === "") return invalid("meta: name must be provided")
  const badName = checkFileName(Name)
  if (badName !== undefined) return badName
  if (cluster.AccessMode === undefined) return invalid("AccessMode must not be nil")
  const { MountVolume, BlockVolume, Scope, Sharing } = cluster.AccessMode
  if (MountVolume === undefined && BlockVolume === undefined) {
    return invalid("Volume AccessMode must specify either Mount or Block access type")
  }
  const scope = among("AccessMode.Scope", scopes, Scope)
  if (isRefusal(scope)) return scope
  const sharing = among("AccessMode.Sharing", sharings, Sharing)
  if (isRefusal(sharing)) return sharing
  const availability = among("Availability", availabilities, cluster.Availability)
  if (isRefusal(availability)) return availability
  const range = checkRange(cluster)
  if (range !== undefined) return range
  const missing: Array<string> = []
  const secrets = (cluster.Secrets ?? []).map(({ Key = "", Secret = "" }) => {
    const found = find(reader, "secret", Secret)
    if (isRefusal(found)) missing.push(Secret)
    return { Key, Secret: isRefusal(found) ? "" : found.ID }
  })
  const elsewhere = secrets.map(({ Secret }) => reader.get("secret", Secret)?.Spec).find((one) => one?.Driver)
  if (elsewhere !== undefined) {
    return invalid(
      `secret ${elsewhere.Name}: expected one that the cluster keeps, not driver ${elsewhere.Driver?.Name}`
    )
  }
  if (missing.length > 0) {
    return invalid(`${missing.length === 1 ? "secret" : "secrets"} not found: ${missing.join(", ")}`)
  }
  const { AccessibilityRequirements, CapacityRange, Group = "" } = cluster
  return {
    spec: {
      Name,
      Labels,
      Driver: { Name: Driver, Options: DriverOpts },
      Group,
      AccessMode: {
        Scope: scope.word,
        Sharing: sharing.word,
        ...(BlockVolume === undefined ? { MountVolume: MountVolume ?? {} } : { BlockVolume })
      },
      Secrets: secrets,
      ...(AccessibilityRequirements === undefined ? {} : { AccessibilityRequirements }),
      ...(CapacityRange === undefined ? {} : { CapacityRange }),
      Availability: availability.word
    }
  }
}

function checkRange({ CapacityRange }: ClusterVolumeSpec): Refusal | undefined {
  const { RequiredBytes: required = 0, LimitBytes: limit = 0 } = CapacityRange ?? {}
  for (const [field, bytes] of [
    ["RequiredBytes", required],
    ["LimitBytes", limit]
  ] as const) {
    if (bytes < 0) return invalid(`CapacityRange.${field} ${bytes}: expected 0 or more`)
  }
  return limit !== 0 && limit < required
    ? invalid(`CapacityRange.LimitBytes ${limit}: expected RequiredBytes, ${required}, or more`)
    : undefined
}

/** What a volume's availability shall be; anything else that was asked for must be as it is, or not be there. */
export function checkVolumeUpdate(
  present: VolumeSpec,
  asked: ClusterVolumeSpec
): { readonly availability: VolumeSpec["Availability"] } | Refusal {
  // Laid out alike, so that a zero that was left out is the same as one that was not.
  const was = render(clusterVolumeSpec, present, "out")
  const is = render(clusterVolumeSpec, { ...present, ...asked }, "out")
  for (const field of ["Group", "AccessibilityRequirements", "AccessMode", "CapacityRange", "Secrets"]) {
    if (!equal(is[field], was[field])) return invalid(`${field} cannot be updated`)
  }
  const found = among("Availability", availabilities, asked.Availability || present.Availability)
  return isRefusal(found) ? found : { availability: found.word }
}
