/** Whether the cluster's settings can be meant, and the settings as they are stored. */
import { type Refusal, refuse, rpc } from "#actors/model/errors.ts"
import { checkKeyPeriod } from "#actors/model/network-keys.ts"
import type { SwarmSpec } from "#actors/model/spec.ts"

const second = 1_000_000_000
const hour = 3600 * second

export function checkSwarm(asked: SwarmSpec): Refusal | undefined {
  const name = asked.Name ?? ""
  if (name !== "" && name !== "default") {
    return refuse("invalidArgument", 'swarm spec must be named "default"')
  }
  const expiry = asked.CAConfig?.NodeCertExpiry ?? 0
  if (expiry !== 0 && expiry < hour) {
    return rpc("invalidArgument", "minimum certificate expiry time is: 1h0m0s")
  }
  if ((asked.Dispatcher?.HeartbeatPeriod ?? 0) < 0) {
    return rpc("invalidArgument", "heartbeat time period cannot be a negative duration")
  }
  const period = checkKeyPeriod(asked)
  if (period !== undefined) return rpc("invalidArgument", period)
  for (const [at, { Protocol = "cfssl", URL: url = "" }] of (asked.CAConfig?.ExternalCAs ?? []).entries()) {
    const field = `CAConfig.ExternalCAs[${at}]`
    if (Protocol !== "cfssl") return rpc("invalidArgument", `${field}.Protocol '${Protocol}': expected cfssl`)
    if (!/^https?:$/.test(URL.parse(url)?.protocol ?? ""))
      return rpc(
        "invalidArgument",
        `${field}.URL '${url}': expected an address such as https://ca.example/api/v1/cfssl/sign`
      )
  }
  return undefined
}

/** What is asked over what is there: as in the Engine, zero and absent values change nothing. */
export function completeSwarm(present: SwarmSpec, asked: SwarmSpec): SwarmSpec {
  return {
    Name: "default",
    Labels: asked.Labels ?? {},
    Orchestration: { ...present.Orchestration, ...asked.Orchestration },
    Raft: { ...present.Raft, ...withoutZeros(asked.Raft ?? {}, ["KeepOldSnapshots"]) },
    Dispatcher: { ...present.Dispatcher, ...withoutZeros(asked.Dispatcher ?? {}) },
    CAConfig: completeAuthority(present.CAConfig ?? {}, asked.CAConfig ?? {}),
    TaskDefaults: asked.TaskDefaults ?? {},
    EncryptionConfig: { AutoLockManagers: asked.EncryptionConfig?.AutoLockManagers ?? false }
  }
}

type CAConfig = NonNullable<SwarmSpec["CAConfig"]>

/** The key that signs is in the roots and nowhere else; whoever asks for a new root names no certificate any more. */
function completeAuthority(present: CAConfig, asked: CAConfig): CAConfig {
  const { SigningCAKey: _key, ExternalCAs: _former, ...rest } = { ...present, ...withoutZeros(asked) }
  const { ExternalCAs = [] } = asked
  const ForceRotate = asked.ForceRotate ?? present.ForceRotate ?? 0
  const isForced = ForceRotate !== (present.ForceRotate ?? 0)
  const { SigningCACert: certificate = "", ...others } = rest
  const isKept = certificate !== "" && !(isForced && (asked.SigningCACert ?? "") === "")
  return {
    ...others,
    ...(ExternalCAs.length > 0 && { ExternalCAs }),
    ...(ForceRotate !== 0 && { ForceRotate }),
    ...(isKept && { SigningCACert: certificate })
  }
}

const withoutZeros = <T extends object>(fields: T, kept: ReadonlyArray<string> = []): Partial<T> =>
  Object.fromEntries(
    Object.entries(fields).filter(([name, value]) => kept.includes(name) || (value !== 0 && value !== ""))
  ) as Partial<T>
