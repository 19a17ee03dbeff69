/**
 * Whole members on imitated disks, a lossy network and imitated time: the product's own host, storage and codec. For
 * tests of one behaviour at a time; long random lives are the simulator's.
 */
import { type Configuration, founding, type NodeId, nobody } from "#actors/raft/core/configuration.ts"
import type { CoreSettings } from "#actors/raft/core/settings.ts"
import { decodeMessage, encodeMessage } from "#actors/raft/host/codec.ts"
import { Member } from "#actors/raft/host/member.ts"
import type { Message } from "#actors/raft/host/message.ts"
import type { HostSettings } from "#actors/raft/host/protocol.ts"
import { hostSettings } from "#actors/raft/host/settings.ts"
import type { ProposalId, ProposeOutcome, StateMachine } from "#actors/raft/protocol.ts"
import { nodeCipher } from "#actors/raft/storage/cipher-node.ts"
import { openLog } from "#actors/raft/storage/open.ts"
import { VirtualHost } from "#runtime/host-virtual.ts"
import { Fresh } from "#runtime/ids.ts"
import { type InlineStorage, inlineStorage } from "#test/support/inline-storage.ts"
import { tinyDisk } from "#test/support/log-trace.ts"
import { SimVfs } from "#test/support/sim-vfs.ts"

interface Line {
  readonly id: string
  readonly text: string
}

/** Remembers what was said, once for each id. */
export class Notes implements StateMachine {
  lines: Array<Line> = []
  readonly #seen = new Map<string, number>()
  /** How many were sent again and not taken again. */
  repeats = 0

  readonly apply = (_index: number, data: Uint8Array): unknown => {
    const line = JSON.parse(new TextDecoder().decode(data)) as Line
    const before = this.#seen.get(line.id)
    if (before !== undefined) {
      this.repeats++
      return before
    }
    this.lines.push(line)
    this.#seen.set(line.id, this.lines.length)
    return this.lines.length
  }
  readonly snapshot = (): Iterable<Uint8Array> => {
    const frozen = [...this.lines]
    return (function* () {
      for (const line of frozen) yield new TextEncoder().encode(JSON.stringify(line))
    })()
  }
  readonly restore = (chunks: Iterable<Uint8Array>): void => {
    for (const _ of this.restoreInSteps(chunks));
  }
  readonly restoreInSteps = (chunks: Iterable<Uint8Array>): Iterable<void> => this.#restoring(chunks)
  get texts(): ReadonlyArray<string> {
    return this.lines.map(({ text }) => text)
  }

  *#restoring(chunks: Iterable<Uint8Array>): Generator<void, void> {
    const lines: Array<Line> = []
    for (const chunk of chunks) {
      lines.push(JSON.parse(new TextDecoder().decode(chunk)))
      yield
    }
    this.lines = lines
    this.#seen.clear()
    for (const [at, { id }] of lines.entries()) this.#seen.set(id, at + 1)
  }
}

export interface Place {
  readonly id: NodeId
  vfs: SimVfs
  member: Member | undefined
  notes: Notes
  storage: InlineStorage | undefined
  life: number
  seq: number
  problem: string | undefined
  quarantined: string | undefined
  initial: Configuration
  /** Added to every write, in milliseconds. */
  diskMs: number
}

export interface Options {
  readonly seed?: number
  readonly host?: Partial<HostSettings>
  readonly core?: Partial<CoreSettings>
  /** What each life drives in the place of notes. */
  readonly machine?: (id: NodeId) => StateMachine
}

const group = "blue.1"

export class Members {
  readonly world: VirtualHost
  readonly places = new Map<NodeId, Place>()
  readonly settings: HostSettings
  readonly cuts = new Set<string>()
  lossPercent = 0
  /** Applying one entry takes all the time that a turn has for it. */
  slowMachines = false
  /** What lies between a turn and one that was put off, in milliseconds. */
  laterMs = 0
  #looks = 0
  /** Sees every message that is sent; false loses it. */
  filter: ((message: Message) => boolean) | undefined
  sent = new Map<string, number>()
  readonly #chance: Fresh

  readonly #machine: Options["machine"]

  constructor(ids: ReadonlyArray<NodeId>, options: Options = {}) {
    this.#machine = options.machine
    this.world = new VirtualHost(options.seed ?? 1)
    this.#chance = Fresh.from((options.seed ?? 1) + 77)
    this.settings = {
      ...hostSettings,
      ...options.host,
      core: { ...hostSettings.core, ...options.core }
    }
    for (const id of ids) this.add(id, founding(...ids))
  }

  /** A machine that joins knows nobody. */
  add(id: NodeId, initial: Configuration = nobody): Place {
    const place: Place = {
      id,
      vfs: new SimVfs(),
      member: undefined,
      notes: new Notes(),
      storage: undefined,
      life: 0,
      seq: 0,
      problem: undefined,
      quarantined: undefined,
      initial,
      diskMs: 0
    }
    place.vfs.makeDirectory("/data")
    this.places.set(id, place)
    this.start(id)
    return place
  }

  place(id: NodeId): Place {
    const place = this.places.get(id)
    if (place === undefined) throw new Error(`there is no member ${id}`)
    return place
  }
  member(id: NodeId): Member {
    const { member } = this.place(id)
    if (member === undefined) throw new Error(`${id} is down`)
    return member
  }

  start(id: NodeId): void {
    const place = this.place(id)
    const life = ++place.life
    const opened = openLog({
      vfs: place.vfs,
      cipher: nodeCipher,
      directory: "/data",
      owner: { clusterId: group, nodeId: id },
      limits: { ...tinyDisk, reserveBytes: 1024 },
      nowMs: 1
    })
    if (opened._tag !== "Recovered") throw new Error(`${id}: ${opened.reason}`)
    place.notes = new Notes()
    place.seq = 0
    /** Turns of a life that is over do not happen. */
    const mine =
      (turn: () => void): (() => void) =>
      () => {
        if (place.life === life) turn()
      }
    const storage = inlineStorage(
      place.vfs,
      nodeCipher,
      opened,
      (turn) =>
        place.diskMs === 0 ? this.world.defer(mine(turn)) : void this.world.after(place.diskMs, mine(turn)),
      (error) => place.member?.halt(error as Error)
    )
    place.storage = storage
    place.member = new Member({
      id,
      boot: `${id}${life}`,
      initial: place.initial,
      settings: this.settings,
      chance: this.#chance.fork().state(),
      storage,
      machine: this.#machine?.(id) ?? place.notes,
      turns: {
        soon: (turn) => this.world.defer(mine(turn)),
        later: (turn) => void this.world.after(this.laterMs, mine(turn)),
        shortly: (turn) => void this.world.after(this.laterMs + 3, mine(turn)),
        monotonic: () => (this.slowMachines ? ++this.#looks * 5 : this.world.monotonic())
      },
      send: (message) => this.#send(message),
      halted: (error) => {
        place.problem = error.message
      },
      quarantined: (reason) => {
        place.quarantined = reason
      }
    })
    const tick = (): void => {
      if (place.life !== life) return
      place.member?.tick()
      this.world.after(this.settings.core.tickMs, tick)
    }
    this.world.after(1 + this.#chance.below(this.settings.core.tickMs), tick)
  }

  /** As kill -9; with `power`, as a pulled plug. */
  crash(id: NodeId, power = false): void {
    const place = this.place(id)
    place.life++
    place.member = undefined
    if (power) place.vfs = place.vfs.powerLoss()
    else place.vfs.processEnd()
  }

  #send(message: Message): void {
    this.sent.set(message._tag, (this.sent.get(message._tag) ?? 0) + 1)
    if (this.filter?.(message) === false) return
    if (this.cuts.has(`${message.from}>${message.to}`)) return
    if (this.#chance.below(100) < this.lossPercent) return
    const bytes = encodeMessage(message, group)
    this.world.after(1 + this.#chance.below(3), () => {
      const to = this.places.get(message.to)
      if (to?.member !== undefined && !this.cuts.has(`${message.from}>${message.to}`)) {
        to.member.receive(decodeMessage(bytes, group))
      }
    })
  }

  isolate(id: NodeId): void {
    for (const other of this.places.keys()) {
      this.cuts.add(`${id}>${other}`)
      this.cuts.add(`${other}>${id}`)
    }
  }
  heal(): void {
    this.cuts.clear()
  }

  propose(
    id: NodeId,
    text: string,
    deadlineTicks?: number,
    onlyInTerm?: number
  ): { outcome: ProposeOutcome | undefined } {
    const place = this.place(id)
    const told: { outcome: ProposeOutcome | undefined } = { outcome: undefined }
    const name: ProposalId = { proposer: id, boot: `${id}${place.life}`, seq: ++place.seq }
    const data = new TextEncoder().encode(
      JSON.stringify({ id: `${name.boot}/${name.seq}`, text } satisfies Line)
    )
    this.member(id).propose(
      data,
      name,
      (outcome) => {
        if (told.outcome !== undefined) throw new Error(`"${text}" ends twice`)
        told.outcome = outcome
      },
      {
        ...(deadlineTicks !== undefined && { deadlineTicks }),
        ...(onlyInTerm !== undefined && { onlyInTerm })
      }
    )
    return told
  }

  read(id: NodeId): { answer: number | Error | undefined } {
    const told: { answer: number | Error | undefined } = { answer: undefined }
    this.member(id).readIndex((answer) => {
      if (told.answer !== undefined) throw new Error("a read ends twice")
      told.answer = answer
    })
    return told
  }

  leader(): NodeId | undefined {
    let best: NodeId | undefined
    let term = -1
    for (const { id, member } of this.places.values()) {
      const leadership = member?.leadership()
      if (leadership?._tag !== "Leading" || leadership.term <= term) continue
      best = id
      term = leadership.term
    }
    return best
  }

  until(what: string, holds: () => boolean, withinMs = 10_000): void {
    if (this.world.runUntil(holds, withinMs)) return
    const all = [...this.places.values()].map(({ member }) => JSON.stringify(member?.inspect()))
    throw new Error(`${what} did not come about:\n${all.join("\n")}`)
  }

  elect(): NodeId {
    this.until("a leader", () => this.leader() !== undefined)
    return this.leader() as NodeId
  }
}
