/**
 * Tasks as they are kept: a million of them, so one shape for all, and texts that many share are kept once.
 *
 * What a decoder or a spread made is larger: properties out of line, and every id and word a copy of its own (1,410
 * bytes a task instead of 930 with Bun 1.4). Nothing else changes: a task reads as it was put.
 */
import type { LedgerReader } from "#actors/ledger/reader.ts"
import {
  type Attachment,
  type Task,
  type TaskState,
  type TaskStatus,
  taskStates
} from "#actors/model/objects.ts"

/** Words of nodes and actors: a few dozen in practice, and a bound in case they are not. */
const mostTexts = 4096
const longestText = 100

const states: ReadonlyMap<string, TaskState> = new Map(taskStates.map((state) => [state, state]))

export class Slim {
  readonly #tables: LedgerReader
  readonly #texts = new Map<string, string>()
  #version = { Index: 0 }
  #time = ""

  constructor(tables: LedgerReader) {
    this.#tables = tables
  }

  /** `task`, which follows `before`, in the fewest bytes. */
  task(task: Task, before: Task | undefined): Task {
    // Fields that this release does not know are kept as they came.
    if (hasOthers(task, taskFields)) return task
    const { Slot, NodeID, StartAfter, Attachments, AssignedGenericResources, JobIteration, Reason } = task
    const rest = StartAfter ?? AssignedGenericResources ?? JobIteration ?? Reason
    const CreatedAt = before?.CreatedAt === task.CreatedAt ? before.CreatedAt : this.#timeOf(task.CreatedAt)
    const UpdatedAt = task.UpdatedAt === CreatedAt ? CreatedAt : this.#timeOf(task.UpdatedAt)
    const ID = before?.ID ?? task.ID
    const ServiceID = this.#tables.get("service", task.ServiceID)?.ID ?? this.#text(task.ServiceID)
    const node = NodeID === undefined ? undefined : (this.#tables.get("node", NodeID)?.ID ?? NodeID)
    const Status = task.Status === before?.Status ? task.Status : this.#status(task.Status)
    const DesiredState = states.get(task.DesiredState) ?? task.DesiredState
    const Version = this.#versionOf(task.Version.Index)
    const attachments =
      Attachments === before?.Attachments ? Attachments : Attachments?.map((one) => this.#attachment(one))
    // A literal that names every property gets room for exactly these.
    if (rest === undefined && Slot !== undefined && node !== undefined && attachments !== undefined) {
      return {
        ID,
        Version,
        CreatedAt,
        UpdatedAt,
        ServiceID,
        SpecVersion: task.SpecVersion,
        Status,
        DesiredState,
        Slot,
        NodeID: node,
        Attachments: attachments
      }
    }
    return {
      ID,
      Version,
      CreatedAt,
      UpdatedAt,
      ServiceID,
      SpecVersion: task.SpecVersion,
      Status,
      DesiredState,
      ...(Slot === undefined ? {} : { Slot }),
      ...(node === undefined ? {} : { NodeID: node }),
      ...(attachments === undefined ? {} : { Attachments: attachments }),
      ...(StartAfter === undefined ? {} : { StartAfter }),
      ...(AssignedGenericResources === undefined ? {} : { AssignedGenericResources }),
      ...(JobIteration === undefined ? {} : { JobIteration }),
      ...(Reason === undefined ? {} : { Reason })
    }
  }

  #status(status: TaskStatus): TaskStatus {
    if (hasOthers(status, statusFields)) return status
    const { Timestamp, Message, ContainerStatus, Err, PortStatus } = status
    const State = states.get(status.State) ?? status.State
    if (Err !== undefined || PortStatus !== undefined || Message === undefined) return { ...status, State }
    const said = this.#text(Message)
    return ContainerStatus === undefined
      ? { Timestamp, State, Message: said }
      : { Timestamp, State, Message: said, ContainerStatus }
  }

  #attachment(attachment: Attachment): Attachment {
    if (hasOthers(attachment, attachmentFields) || attachment.Aliases !== undefined) return attachment
    const [first, ...others] = attachment.Addresses
    const NetworkID = this.#tables.get("network", attachment.NetworkID)?.ID ?? attachment.NetworkID
    const Addresses = first === undefined || others.length > 0 ? attachment.Addresses : [first]
    return { NetworkID, Addresses }
  }

  /** Tasks that were written by one entry share its version and its time. */
  #versionOf(index: number): Task["Version"] {
    if (this.#version.Index !== index) this.#version = { Index: index }
    return this.#version
  }

  #timeOf(time: string): string {
    if (this.#time !== time) this.#time = time
    return this.#time
  }

  #text(text: string): string {
    const known = this.#texts.get(text)
    if (known !== undefined) return known
    if (text.length > longestText || this.#texts.size >= mostTexts) return text
    this.#texts.set(text, text)
    return text
  }
}

const taskFields = new Set([
  "ID",
  "Version",
  "CreatedAt",
  "UpdatedAt",
  "ServiceID",
  "SpecVersion",
  "Slot",
  "NodeID",
  "Status",
  "DesiredState",
  "StartAfter",
  "Attachments",
  "AssignedGenericResources",
  "JobIteration",
  "Reason"
])
const statusFields = new Set(["Timestamp", "State", "Message", "Err", "ContainerStatus", "PortStatus"])
const attachmentFields = new Set(["NetworkID", "Addresses", "Aliases"])

function hasOthers(object: object, known: ReadonlySet<string>): boolean {
  for (const key in object) if (!known.has(key)) return true
  return false
}
