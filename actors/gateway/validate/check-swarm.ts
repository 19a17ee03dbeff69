/** Whether the cluster's settings can be meant, and the settings as they are stored. */
import { type Refusal, refuse, rpc } from "#actors/model/errors.ts"
import type { SwarmSpec } from "#actors/model/spec.ts"

const second = 1_000_000_000
const hour = 3600 * second

export function checkSwarm(present: SwarmSpec, asked: SwarmSpec): Refusal | undefined {
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
  if ((asked.CAConfig?.ForceRotate ?? 0) !== (present.CAConfig?.ForceRotate ?? 0)) {
    return refuse("notImplemented", "the root certificate cannot be rotated: this cluster has none yet")
  }
  if ((asked.CAConfig?.SigningCACert ?? "") !== "" || (asked.CAConfig?.SigningCAKey ?? "") !== "") {
    return refuse("notImplemented", "a certificate authority of one's own is not supported yet")
  }
  if (asked.EncryptionConfig?.AutoLockManagers === true) {
    return refuse("notImplemented", "autolock is not supported: managers cannot be locked yet")
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
    CAConfig: { ...present.CAConfig, ...withoutZeros(asked.CAConfig ?? {}) },
    TaskDefaults: asked.TaskDefaults ?? {},
    EncryptionConfig: { AutoLockManagers: asked.EncryptionConfig?.AutoLockManagers ?? false }
  }
}

const withoutZeros = <T extends object>(fields: T, kept: ReadonlyArray<string> = []): Partial<T> =>
  Object.fromEntries(
    Object.entries(fields).filter(([name, value]) => kept.includes(name) || (value !== 0 && value !== ""))
  ) as Partial<T>
