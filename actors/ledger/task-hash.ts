/**
 * The hash of a task from its bytes, the very one that `hashInto` gives of the task: most of the time that a million of them
 * take to come back would otherwise go to making texts only to hash them.
 */
import type { Buffer } from "node:buffer"
import { type Hash, piecewise } from "#actors/ledger/hash.ts"
import { Integers } from "#actors/ledger/integers.ts"
import { has, stateOf, type TaskHead } from "#actors/ledger/task-bytes.ts"
import type { Texts, Words } from "#actors/ledger/texts.ts"

const { ofKey, begin, number, latin1, list, object, end, endInto } = piecewise

const keys = {
  ID: ofKey("ID"),
  Version: ofKey("Version"),
  Index: ofKey("Index"),
  CreatedAt: ofKey("CreatedAt"),
  UpdatedAt: ofKey("UpdatedAt"),
  ServiceID: ofKey("ServiceID"),
  SpecVersion: ofKey("SpecVersion"),
  Status: ofKey("Status"),
  Timestamp: ofKey("Timestamp"),
  State: ofKey("State"),
  Message: ofKey("Message"),
  ContainerStatus: ofKey("ContainerStatus"),
  ContainerID: ofKey("ContainerID"),
  PID: ofKey("PID"),
  ExitCode: ofKey("ExitCode"),
  DesiredState: ofKey("DesiredState"),
  Slot: ofKey("Slot"),
  NodeID: ofKey("NodeID"),
  Attachments: ofKey("Attachments"),
  NetworkID: ofKey("NetworkID"),
  Addresses: ofKey("Addresses")
}

/** What a property adds to the hash of its object, for texts that come again and again, by their numbers. */
class Shares {
  readonly #key: Hash
  readonly #texts: Array<string | undefined> = []
  /** Two words for each. */
  readonly #shares = new Integers()
  readonly #one = { a: 0, b: 0 }

  constructor(key: Hash) {
    this.#key = key
  }

  /** `text` stands under `at` now, which may have been another's. */
  add(sum: Hash, at: number, text: string): void {
    if (this.#texts[at] !== text) {
      begin(this.#key)
      piecewise.value(text)
      end(this.#one)
      while (this.#texts.length <= at) this.#texts.push(undefined)
      this.#texts[at] = text
      this.#shares.set(2 * at, this.#one.a)
      this.#shares.set(2 * at + 1, this.#one.b)
    }
    sum.a = (sum.a + this.#shares.get(2 * at)) | 0
    sum.b = (sum.b + this.#shares.get(2 * at + 1)) | 0
  }
}

const clear = (sum: Hash): Hash => {
  sum.a = 0
  sum.b = 0
  return sum
}

export class TaskHash {
  readonly #texts: Texts
  readonly #words: Words
  readonly #service = new Shares(keys.ServiceID)
  readonly #node = new Shares(keys.NodeID)
  readonly #network = new Shares(keys.NetworkID)
  readonly #word = new Shares(keys.Message)
  readonly #state = new Shares(keys.State)
  readonly #desired = new Shares(keys.DesiredState)
  readonly #task = { a: 0, b: 0 }
  readonly #inner = { a: 0, b: 0 }
  readonly #container = { a: 0, b: 0 }
  /** Of each attachment, two words. */
  readonly #attachments: Array<number> = []
  #bytes: Buffer | undefined
  #at = 0

  constructor(texts: Texts, words: Words) {
    this.#texts = texts
    this.#words = words
  }

  /** Writes the hash of the task with this head in `bytes` into `into`, and returns that. */
  of(bytes: Buffer, head: TaskHead, into: Hash): Hash {
    const { flags } = head
    const sum = clear(this.#task)
    this.#bytes = bytes
    this.#at = head.idAt
    this.#text(sum, keys.ID, head.idLength)
    numbered(clear(this.#inner), keys.Index, head.version)
    nested(sum, keys.Version, 1, this.#inner)
    this.#service.add(sum, head.service, this.#texts.at(head.service))
    numbered(sum, keys.SpecVersion, head.specVersion)
    this.#desired.add(sum, head.desired, stateOf(head.desired))
    // Eight fields are always there.
    let count = 8
    if ((flags & has.slot) !== 0) {
      numbered(sum, keys.Slot, head.slot)
      count++
    }
    if ((flags & has.node) !== 0) {
      this.#node.add(sum, head.node, this.#texts.at(head.node))
      count++
    }
    this.#at = head.textsAt
    this.#text(sum, keys.CreatedAt, head.createdLength)
    if (head.updatedLength === 0) this.#at = head.textsAt
    this.#text(sum, keys.UpdatedAt, head.updatedLength === 0 ? head.createdLength : head.updatedLength)
    this.#status(sum, head)
    if ((flags & has.attachments) !== 0) {
      this.#attached(sum, head)
      count++
    }
    begin(piecewise.root)
    object(count, sum)
    end(into)
    return into
  }

  #status(task: Hash, head: TaskHead): void {
    const { flags } = head
    const sum = clear(this.#inner)
    let count = 2
    this.#text(sum, keys.Timestamp, head.timestampLength)
    this.#state.add(sum, head.state, stateOf(head.state))
    const word = (flags & has.word) === 0 ? undefined : this.#words.at(head.word)
    if ((flags & has.message) !== 0) this.#text(sum, keys.Message, head.messageLength)
    else if (word !== undefined) this.#word.add(sum, head.word, word)
    if ((flags & has.message) !== 0 || word !== undefined) count++
    if ((flags & has.container) !== 0) {
      this.#containerOf(sum, head)
      count++
    }
    nested(task, keys.Status, count, sum)
  }

  #containerOf(status: Hash, head: TaskHead): void {
    const sum = clear(this.#container)
    let count = 1
    this.#text(sum, keys.ContainerID, head.containerLength)
    if ((head.flags & has.pid) !== 0) {
      numbered(sum, keys.PID, head.pid)
      count++
    }
    if ((head.flags & has.exitCode) !== 0) {
      numbered(sum, keys.ExitCode, head.exitCode)
      count++
    }
    nested(status, keys.ContainerStatus, count, sum)
  }

  #attached(task: Hash, head: TaskHead): void {
    // Each is hashed before their list, in which the lanes go on from one to the next.
    for (let at = 0; at < head.attached; at++) {
      const sum = clear(this.#inner)
      const network = head.networks[at] as number
      this.#network.add(sum, network, this.#texts.at(network))
      begin(keys.Addresses)
      list(1)
      this.#latin1(head.addressLengths[at] as number)
      endInto(sum)
      this.#attachments[2 * at] = sum.a
      this.#attachments[2 * at + 1] = sum.b
    }
    begin(keys.Attachments)
    list(head.attached)
    for (let at = 0; at < head.attached; at++) {
      this.#inner.a = this.#attachments[2 * at] as number
      this.#inner.b = this.#attachments[2 * at + 1] as number
      object(2, this.#inner)
    }
    endInto(task)
  }

  /** The next text is the property `key`. */
  #text(sum: Hash, key: Hash, length: number): void {
    begin(key)
    this.#latin1(length)
    endInto(sum)
  }

  #latin1(length: number): void {
    latin1(this.#bytes as Buffer, this.#at, length)
    this.#at += length
  }
}

function numbered(sum: Hash, key: Hash, value: number): void {
  begin(key)
  number(value)
  endInto(sum)
}

function nested(sum: Hash, key: Hash, count: number, inner: Hash): void {
  begin(key)
  object(count, inner)
  endInto(sum)
}
