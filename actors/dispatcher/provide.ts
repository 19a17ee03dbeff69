/**
 * Secrets that a driver keeps and the ledger does not: what a task still waits for, what is asked of the driver, and what
 * came back. The leader has them in memory only; the next one asks again, for tasks that have yet to start.
 */
import type { Provision, SecretQuestion } from "#actors/drivers/secret-providers.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Secret, Task } from "#actors/model/objects.ts"
import { isIngress, nameOfTask, protocolOf } from "#actors/model/service-facts.ts"
import type { TaskSpec } from "#actors/model/spec.ts"
import { isBefore } from "#actors/model/task-state.ts"

/** A question that is to be asked, of the driver of that name. */
export interface Wanted {
  readonly driver: string
  readonly secretId: string
  readonly question: SecretQuestion
}

/** Belongs to the dispatcher and changes in place. */
export class Provisions {
  /** By task, by secret; `asked` until there is an answer. */
  readonly #byTask = new Map<string, Map<string, Provision | "asked">>()
  #wanted: Array<Wanted> = []

  /** What the task was given of this secret. Where that is nothing yet, the driver is asked, once. */
  ask(ledger: LedgerReader, task: Task, secret: Secret): Provision | undefined {
    const given = this.#byTask.get(task.ID) ?? new Map<string, Provision | "asked">()
    const known = given.get(secret.ID)
    if (known !== undefined) return known === "asked" ? undefined : known
    // It has read its files, and nobody reads them again.
    if (!isBefore(task.Status.State, "running")) return undefined
    this.#byTask.set(task.ID, given.set(secret.ID, "asked"))
    const driver = secret.Spec.Driver?.Name ?? ""
    this.#wanted.push({ driver, secretId: secret.ID, question: questionOf(ledger, task, secret) })
    return undefined
  }

  /** Of a task that was forgotten meanwhile nothing is kept. */
  take(taskId: string, secretId: string, provision: Provision): void {
    this.#byTask.get(taskId)?.set(secretId, provision)
  }

  forget(taskId: string): void {
    this.#byTask.delete(taskId)
  }

  /** What is to be asked now; told once. */
  takeWanted(): ReadonlyArray<Wanted> {
    const wanted = this.#wanted
    this.#wanted = []
    return wanted
  }
}

/** By this name a node holds a secret that is one task's own. */
export const ownSecretId = (secretId: string, taskId: string): string => `${secretId}.${taskId}`

/** The same template, which reads these secrets by the task's own names for them. */
export function readingOwn(spec: TaskSpec, taskId: string, own: ReadonlySet<string>): TaskSpec {
  const { ContainerSpec } = spec
  if (own.size === 0 || ContainerSpec?.Secrets === undefined) return spec
  const Secrets = ContainerSpec.Secrets.map((reference) =>
    reference.SecretID !== undefined && own.has(reference.SecretID)
      ? { ...reference, SecretID: ownSecretId(reference.SecretID, taskId) }
      : reference
  )
  return { ...spec, ContainerSpec: { ...ContainerSpec, Secrets } }
}

/** SwarmKit's numbers for words. */
const protocols = { tcp: 0, udp: 1, sctp: 2 } as const

function questionOf(ledger: LedgerReader, task: Task, secret: Secret): SecretQuestion {
  const service = ledger.get("service", task.ServiceID)
  const container = ledger.taskSpec(task.ServiceID, task.SpecVersion)?.ContainerSpec
  const serviceName = service?.Spec.Name ?? task.ServiceID
  const { Mode, Ports = [] } = service?.Spec.EndpointSpec ?? {}
  return {
    SecretName: secret.Spec.Name ?? "",
    SecretLabels: secret.Spec.Labels ?? {},
    ServiceID: task.ServiceID,
    ServiceName: serviceName,
    ServiceHostname: container?.Hostname ?? "",
    ServiceLabels: service?.Spec.Labels ?? {},
    ServiceEndpointSpec: {
      Mode: Mode === "dnsrr" ? 1 : 0,
      Ports: Ports.map((port) => ({
        Name: port.Name ?? "",
        Protocol: protocols[protocolOf(port)],
        TargetPort: port.TargetPort ?? 0,
        PublishedPort: port.PublishedPort ?? 0,
        PublishMode: isIngress(port) ? 0 : 1
      }))
    },
    TaskID: task.ID,
    TaskName: nameOfTask(serviceName, task),
    TaskImage: container?.Image ?? "",
    NodeID: task.NodeID ?? ""
  }
}
