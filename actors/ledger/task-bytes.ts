/**
 * A task as bytes: what a million of them are kept as, and what a snapshot copies.
 *
 *     record = length (3 bytes), flags (2), id, numbers, texts one after the other, what is left as `pack.ts` writes it
 *
 * Ids of services, nodes and networks and the words of a status stand for numbers of `texts.ts`. What has no place of its
 * own is kept as it came, so nothing is lost of what a later release says; in the worst case that is the whole task.
 */
import { Buffer } from "node:buffer"
import { Packer, Unpacker } from "#actors/ledger/pack.ts"
import type { Texts, Words } from "#actors/ledger/texts.ts"
import {
  type Attachment,
  type Task,
  type TaskState,
  type TaskStatus,
  taskStates
} from "#actors/model/objects.ts"
import { assert, BrokenInvariant } from "#runtime/assert.ts"

/** Which fields follow, in this order. Part of the format, as everything here. */
export const has = {
  slot: 1,
  node: 2,
  /** Its message by number, or written out. */
  word: 4,
  message: 8,
  container: 16,
  pid: 32,
  exitCode: 64,
  attachments: 128,
  /** Written since it was made. */
  updated: 256,
  others: 512,
  statusOthers: 1024,
  /** The whole task, packed, and nothing else. */
  whole: 2048
} as const

const lengthBytes = 3
const flagBytes = 2
const longestRecord = 2 ** 24 - 1
const longestText = 255
/** Numbers and lengths of what has them once, and of an attachment. */
const mostHeadBytes = 96
const mostAttachmentBytes = 9
const mostAttachments = 255

/** By their place in `taskStates`. */
export const numberOfState: ReadonlyMap<string, number> = new Map(taskStates.map((state, at) => [state, at]))
const isNumber = (value: unknown): value is number =>
  Number.isSafeInteger(value) && !Object.is(value, -0) && (value as number) >= 0
const isText = (value: unknown): value is string => typeof value === "string" && value.length <= longestText

/**
 * What a record says before its texts, and where these are: one after the other from `textsAt` on, in the order of their
 * lengths here, the addresses last. What the flags do not name is left over from another record.
 */
export interface TaskHead {
  flags: number
  end: number
  idAt: number
  idLength: number
  version: number
  service: number
  specVersion: number
  state: number
  desired: number
  slot: number
  node: number
  word: number
  pid: number
  exitCode: number
  createdLength: number
  updatedLength: number
  timestampLength: number
  messageLength: number
  containerLength: number
  attached: number
  readonly networks: Array<number>
  readonly addressLengths: Array<number>
  textsAt: number
  textsLength: number
}

export class TaskBytes {
  readonly #texts: Texts
  readonly #words: Words
  readonly #packer = new Packer()
  #out = Buffer.allocUnsafeSlow(4096)
  #in: Buffer = this.#out
  #at = 0
  readonly #head: TaskHead = {
    flags: 0,
    end: 0,
    idAt: 0,
    idLength: 0,
    version: 0,
    service: 0,
    specVersion: 0,
    state: 0,
    desired: 0,
    slot: 0,
    node: 0,
    word: 0,
    pid: 0,
    exitCode: 0,
    createdLength: 0,
    updatedLength: 0,
    timestampLength: 0,
    messageLength: 0,
    containerLength: 0,
    attached: 0,
    networks: [],
    addressLengths: [],
    textsAt: 0,
    textsLength: 0
  }
  #uncut = ""
  #cutAt = 0

  constructor(texts: Texts, words: Words) {
    this.#texts = texts
    this.#words = words
  }

  /** Where `encode` writes, from the start; the next call writes over it. */
  get encoded(): Buffer {
    return this.#out
  }

  /** Writes `task`, whose ids have numbers, and returns the bytes that it took. */
  encode(task: Task): number {
    if (!this.#encodeFields(task)) {
      this.#at = lengthBytes
      this.#putFlags(has.whole)
      this.#putRest(task)
    }
    const length = this.#at
    assert(length <= longestRecord, "a task fits into an entry, and so into a record")
    const out = this.#out
    out[0] = length & 255
    out[1] = (length >>> 8) & 255
    out[2] = length >>> 16
    return length
  }

  #encodeFields(task: Task): boolean {
    const { ID, Version, CreatedAt, UpdatedAt, ServiceID, SpecVersion, Slot, NodeID, Status, DesiredState } =
      task
    const { Timestamp, State, Message, ContainerStatus } = Status
    const state = numberOfState.get(State)
    const desired = numberOfState.get(DesiredState)
    if (state === undefined || desired === undefined) return false
    if (!isText(ID) || !isText(CreatedAt) || !isText(UpdatedAt) || !isText(Timestamp)) return false
    if (!isNumber(SpecVersion) || !isNumber(Version.Index) || countKeys(Version) !== 1) return false

    let flags = 0
    if (isNumber(Slot)) flags |= has.slot
    if (NodeID !== undefined) flags |= has.node
    if (UpdatedAt !== CreatedAt) flags |= has.updated
    const word = Message === undefined ? 0 : this.#words.number(Message)
    if (word > 0) flags |= has.word
    else if (isText(Message)) flags |= has.message
    if (ContainerStatus !== undefined && isPlainContainer(ContainerStatus)) {
      flags |= has.container
      if (ContainerStatus.PID !== undefined) flags |= has.pid
      if (ContainerStatus.ExitCode !== undefined) flags |= has.exitCode
    }
    const attachments = task.Attachments ?? []
    if (
      attachments.length > 0 &&
      attachments.length <= mostAttachments &&
      attachments.every(isPlainAttachment)
    ) {
      flags |= has.attachments
    }
    const others = othersOf(task, flags)
    if (others !== undefined) flags |= has.others
    const statusOthers = statusOthersOf(Status, flags)
    if (statusOthers !== undefined) flags |= has.statusOthers

    this.#at = lengthBytes
    this.#room(
      mostHeadBytes + mostAttachmentBytes * attachments.length + longestText * (6 + attachments.length)
    )
    this.#putFlags(flags)
    this.#putByte(ID.length)
    if (!this.#putText(ID)) return false
    this.#putNumber(Version.Index)
    this.#putNumber(this.#texts.find(ServiceID))
    this.#putNumber(SpecVersion)
    this.#putByte(state)
    this.#putByte(desired)
    if ((flags & has.slot) !== 0) this.#putNumber(Slot as number)
    if ((flags & has.node) !== 0) this.#putNumber(this.#texts.find(NodeID as string))
    if (word > 0) this.#putNumber(word)
    if ((flags & has.pid) !== 0) this.#putNumber(ContainerStatus?.PID as number)
    if ((flags & has.exitCode) !== 0) this.#putNumber(ContainerStatus?.ExitCode as number)
    this.#putByte(CreatedAt.length)
    if ((flags & has.updated) !== 0) this.#putByte(UpdatedAt.length)
    this.#putByte(Timestamp.length)
    if ((flags & has.message) !== 0) this.#putByte((Message as string).length)
    if ((flags & has.container) !== 0) this.#putByte(ContainerStatus?.ContainerID.length as number)
    if ((flags & has.attachments) !== 0) {
      this.#putByte(attachments.length)
      for (const { NetworkID, Addresses } of attachments) {
        this.#putNumber(this.#texts.find(NetworkID))
        this.#putByte(Addresses[0]?.length as number)
      }
    }
    const plain =
      this.#putText(CreatedAt) &&
      ((flags & has.updated) === 0 || this.#putText(UpdatedAt)) &&
      this.#putText(Timestamp) &&
      ((flags & has.message) === 0 || this.#putText(Message as string)) &&
      ((flags & has.container) === 0 || this.#putText(ContainerStatus?.ContainerID as string)) &&
      ((flags & has.attachments) === 0 ||
        attachments.every(({ Addresses }) => this.#putText(Addresses[0] as string)))
    if (!plain) return false
    if (others !== undefined || statusOthers !== undefined)
      this.#putRest([others ?? null, statusOthers ?? null])
    return true
  }

  /** Whether the record that begins at `start` is of the task `id`. */
  isOf(bytes: Buffer, start: number, id: string): boolean {
    if (((bytes[start + lengthBytes + 1] as number) << 8) & has.whole)
      return this.decode(bytes, start).ID === id
    let at = start + lengthBytes + flagBytes
    if (bytes[at++] !== id.length) return false
    for (let i = 0; i < id.length; i++) if (bytes[at++] !== id.charCodeAt(i)) return false
    return true
  }

  /** The task whose record begins at `start`; throws `BrokenInvariant` when it is none. */
  decode(bytes: Buffer, start: number): Task {
    const flags = this.#begin(bytes, start)
    if ((flags & has.whole) !== 0)
      return new Unpacker(bytes.subarray(this.#at, this.#head.end)).value() as Task

    this.#readHead()
    const head = this.#head
    // Ids are what others keep, so each is a text of its own. The rest is taken in one go and cut up, which is several
    // times quicker than a call for each; who keeps one of these keeps some 150 bytes.
    const ID = bytes.toString("latin1", head.idAt, head.idAt + head.idLength)
    const Version = { Index: head.version }
    const ServiceID = this.#texts.at(head.service)
    const { specVersion: SpecVersion, textsAt, attached } = head
    const State = stateOf(head.state)
    const DesiredState = stateOf(head.desired)
    const Slot = (flags & has.slot) === 0 ? undefined : head.slot
    const NodeID = (flags & has.node) === 0 ? undefined : this.#texts.at(head.node)
    const PID = (flags & has.pid) === 0 ? undefined : head.pid
    const ExitCode = (flags & has.exitCode) === 0 ? undefined : head.exitCode
    const texts = bytes.toString("latin1", textsAt, textsAt + head.textsLength)
    this.#uncut = texts
    this.#cutAt = 0
    const CreatedAt = this.#cut(head.createdLength)
    const UpdatedAt = head.updatedLength === 0 ? CreatedAt : this.#cut(head.updatedLength)
    const Timestamp = this.#cut(head.timestampLength)
    const Message =
      (flags & has.message) !== 0
        ? this.#cut(head.messageLength)
        : (flags & has.word) !== 0
          ? this.#words.at(head.word)
          : undefined
    let Status: TaskStatus
    if ((flags & has.container) !== 0) {
      const ContainerStatus = containerOf(this.#cut(head.containerLength), PID, ExitCode)
      Status =
        Message === undefined
          ? { Timestamp, State, ContainerStatus }
          : { Timestamp, State, Message, ContainerStatus }
    } else Status = Message === undefined ? { Timestamp, State } : { Timestamp, State, Message }
    let Attachments: Array<Attachment> | undefined
    if (attached > 0) {
      Attachments = []
      for (let at = 0; at < attached; at++) {
        const NetworkID = this.#texts.at(head.networks[at] as number)
        Attachments.push({ NetworkID, Addresses: [this.#cut(head.addressLengths[at] as number)] })
      }
    }
    const base = { ID, Version, CreatedAt, UpdatedAt, ServiceID, SpecVersion, Status, DesiredState }
    if ((flags & (has.others | has.statusOthers)) === 0) {
      // A literal that names every property is the quickest, and most tasks are of this shape.
      if (Slot !== undefined && NodeID !== undefined && Attachments !== undefined) {
        return {
          ID,
          Version,
          CreatedAt,
          UpdatedAt,
          ServiceID,
          SpecVersion,
          Status,
          DesiredState,
          Slot,
          NodeID,
          Attachments
        }
      }
      return withOptional(base, Slot, NodeID, Attachments)
    }
    const rest = new Unpacker(bytes.subarray(textsAt + head.textsLength, head.end)).value()
    if (!Array.isArray(rest)) throw malformed("what is left of it is no list")
    const [others, statusOthers] = rest as [Partial<Task> | null, Partial<TaskStatus> | null]
    const task = { ...withOptional(base, Slot, NodeID, Attachments), ...others }
    return statusOthers === null ? task : { ...task, Status: { ...Status, ...statusOthers } }
  }

  /**
   * Where what is in the record that begins at `start` and ends at `end`, until the next call; `undefined` for one with
   * something that has no place of its own.
   */
  plainHead(bytes: Buffer, start: number): TaskHead | undefined {
    const flags = this.#begin(bytes, start)
    if ((flags & (has.whole | has.others | has.statusOthers)) !== 0) return undefined
    this.#readHead()
    return this.#head
  }

  // ── writing

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#out.length) return
    const larger = Buffer.allocUnsafeSlow(2 * (this.#at + bytes))
    this.#out.copy(larger, 0, 0, this.#at)
    this.#out = larger
  }

  #putFlags(flags: number): void {
    this.#putByte(flags & 255)
    this.#putByte(flags >>> 8)
  }

  #putByte(value: number): void {
    this.#out[this.#at++] = value
  }

  #putNumber(value: number): void {
    let rest = value
    while (rest > 127) {
      this.#out[this.#at++] = (rest % 128) | 128
      rest = Math.floor(rest / 128)
    }
    this.#out[this.#at++] = rest
  }

  /** False where a character needs more than a byte. */
  #putText(text: string): boolean {
    const out = this.#out
    let at = this.#at
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      if (code > 255) return false
      out[at++] = code
    }
    this.#at = at
    return true
  }

  #putRest(value: unknown): void {
    this.#packer.begin()
    this.#packer.value(value)
    const { bytes } = this.#packer
    this.#room(bytes.length)
    this.#out.set(bytes, this.#at)
    this.#at += bytes.length
  }

  // ── reading

  /** The flags of the record that begins at `start`, and everything ready to read what follows them. */
  #begin(bytes: Buffer, start: number): number {
    const flags = (bytes[start + lengthBytes] as number) | ((bytes[start + lengthBytes + 1] as number) << 8)
    this.#head.flags = flags
    this.#head.end = start + recordLength(bytes, start)
    this.#in = bytes
    this.#at = start + lengthBytes + flagBytes
    return flags
  }

  #readHead(): void {
    const head = this.#head
    const { flags } = head
    head.idLength = this.#byte()
    head.idAt = this.#at
    this.#at += head.idLength
    head.version = this.#number()
    head.service = this.#number()
    head.specVersion = this.#number()
    head.state = this.#byte()
    head.desired = this.#byte()
    if ((flags & has.slot) !== 0) head.slot = this.#number()
    if ((flags & has.node) !== 0) head.node = this.#number()
    if ((flags & has.word) !== 0) head.word = this.#number()
    if ((flags & has.pid) !== 0) head.pid = this.#number()
    if ((flags & has.exitCode) !== 0) head.exitCode = this.#number()
    head.createdLength = this.#byte()
    head.updatedLength = (flags & has.updated) === 0 ? 0 : this.#byte()
    head.timestampLength = this.#byte()
    head.messageLength = (flags & has.message) === 0 ? 0 : this.#byte()
    head.containerLength = (flags & has.container) === 0 ? 0 : this.#byte()
    head.attached = (flags & has.attachments) === 0 ? 0 : this.#byte()
    let length =
      head.createdLength +
      head.updatedLength +
      head.timestampLength +
      head.messageLength +
      head.containerLength
    head.networks.length = head.attached
    head.addressLengths.length = head.attached
    for (let at = 0; at < head.attached; at++) {
      head.networks[at] = this.#number()
      const address = this.#byte()
      head.addressLengths[at] = address
      length += address
    }
    head.textsAt = this.#at
    head.textsLength = length
    if (head.textsAt + length > head.end) throw malformed("it is shorter than its texts")
  }

  #byte(): number {
    const value = this.#in[this.#at++]
    if (value === undefined) throw malformed("it ends early")
    return value
  }

  /** The next `length` characters of the texts that are being cut up. */
  #cut(length: number): string {
    const from = this.#cutAt
    this.#cutAt = from + length
    return this.#uncut.substring(from, from + length)
  }

  #number(): number {
    let value = 0
    for (let scale = 1; scale < 2 ** 53; scale *= 128) {
      const byte = this.#byte()
      if (byte < 128) return value + byte * scale
      value += (byte - 128) * scale
    }
    throw malformed("a number does not end")
  }
}

/** The bytes of the record that begins at `start`. */
export function recordLength(bytes: Buffer, start: number): number {
  const length =
    (bytes[start] as number) | ((bytes[start + 1] as number) << 8) | ((bytes[start + 2] as number) << 16)
  if (!(length > lengthBytes + flagBytes && start + length <= bytes.length))
    throw malformed("its length is wrong")
  return length
}

const malformed = (what: string): BrokenInvariant =>
  new BrokenInvariant(`Cannot read a task: its record is malformed: ${what}`)

export function stateOf(number: number): TaskState {
  const state = taskStates[number]
  if (state === undefined) throw malformed(`there is no state ${number}`)
  return state
}

type Container = NonNullable<TaskStatus["ContainerStatus"]>

function containerOf(ContainerID: string, PID: number | undefined, ExitCode: number | undefined): Container {
  if (ExitCode === undefined) return PID === undefined ? { ContainerID } : { ContainerID, PID }
  return PID === undefined ? { ContainerID, ExitCode } : { ContainerID, PID, ExitCode }
}

const withOptional = <Base extends object>(
  base: Base,
  Slot: number | undefined,
  NodeID: string | undefined,
  Attachments: ReadonlyArray<Attachment> | undefined
) => ({
  ...base,
  ...(Slot === undefined ? {} : { Slot }),
  ...(NodeID === undefined ? {} : { NodeID }),
  ...(Attachments === undefined ? {} : { Attachments })
})

const isAbsentOrNumber = (value: unknown): boolean => value === undefined || isNumber(value)

const isPlainContainer = (container: Container): boolean =>
  isText(container.ContainerID) &&
  isAbsentOrNumber(container.PID) &&
  isAbsentOrNumber(container.ExitCode) &&
  countKeys(container) === 1 + Number("PID" in container) + Number("ExitCode" in container)

const isPlainAttachment = (attachment: Attachment): boolean =>
  attachment.Addresses.length === 1 && isText(attachment.Addresses[0]) && countKeys(attachment) === 2

function countKeys(object: object): number {
  let count = 0
  for (const _ in object) count++
  return count
}

type Fields = Readonly<Record<string, unknown>>

// Fields that are always there, and those that are where the flags say so.
const plainFields: ReadonlyMap<string, number> = new Map([
  ...["ID", "Version", "CreatedAt", "UpdatedAt", "ServiceID", "SpecVersion", "Status", "DesiredState"].map(
    (name) => [name, 0] as const
  ),
  ["Slot", has.slot],
  ["NodeID", has.node],
  ["Attachments", has.attachments]
])
const plainStatusFields: ReadonlyMap<string, number> = new Map([
  ["Timestamp", 0],
  ["State", 0],
  ["Message", has.word | has.message],
  ["ContainerStatus", has.container]
])
const among = (flags: number, flag: number): number => ((flags & flag) === 0 ? 0 : 1)

function othersOf(task: Task, flags: number): Fields | undefined {
  const plain = 8 + among(flags, has.slot) + among(flags, has.node) + among(flags, has.attachments)
  return countKeys(task) === plain ? undefined : leftOf(task, plainFields, flags)
}

function statusOthersOf(status: TaskStatus, flags: number): Fields | undefined {
  const plain = 2 + among(flags, has.word | has.message) + among(flags, has.container)
  return countKeys(status) === plain ? undefined : leftOf(status, plainStatusFields, flags)
}

/** What of `object` the fields that `flags` names do not hold. */
function leftOf(object: object, places: ReadonlyMap<string, number>, flags: number): Fields | undefined {
  const left: Array<readonly [string, unknown]> = []
  for (const key in object) {
    const value = (object as Fields)[key]
    const place = places.get(key)
    if (value === undefined || place === 0 || (place !== undefined && (flags & place) !== 0)) continue
    left.push([key, value])
  }
  return left.length === 0 ? undefined : Object.fromEntries(left)
}
