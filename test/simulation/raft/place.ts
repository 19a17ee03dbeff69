/** One member's machine: its disk, its clock, and the product's own member on them, through as many lives as it has. */
import type { Configuration, NodeId } from "#actors/raft/core/configuration.ts"
import { Member } from "#actors/raft/host/member.ts"
import type { Message } from "#actors/raft/host/message.ts"
import type { HostSettings } from "#actors/raft/host/protocol.ts"
import type { Cipher } from "#actors/raft/storage/cipher.ts"
import type { Limits } from "#actors/raft/storage/layout.ts"
import { type OpenedLog, openLog } from "#actors/raft/storage/open.ts"
import { DiskError } from "#actors/raft/storage/vfs.ts"
import type { Storage } from "#actors/raft/storage.ts"
import type { VirtualHost } from "#runtime/host-virtual.ts"
import type { Fresh } from "#runtime/ids.ts"
import { Broken } from "#test/simulation/raft/broken.ts"
import type { Observer } from "#test/simulation/raft/observer.ts"
import { Registers } from "#test/simulation/raft/registers.ts"
import { type InlineStorage, inlineStorage } from "#test/support/inline-storage.ts"
import { type Image, SimVfs } from "#test/support/sim-vfs.ts"

/** The power goes in the middle of a write. */
class PowerLoss extends Error {
  readonly image: Image
  constructor(image: Image) {
    super("the power goes")
    this.image = image
  }
}

export const group = "blue.1"

export interface Around {
  readonly host: VirtualHost
  readonly observer: Observer
  readonly cipher: Cipher
  readonly chance: Fresh
  readonly settings: HostSettings
  readonly limits: Limits
  readonly chunkBytes: number
  readonly send: (message: Message) => void
}

export class Place {
  readonly id: NodeId
  readonly lane: number
  readonly #around: Around
  readonly #initial: Configuration
  vfs = new SimVfs()
  member: Member | undefined
  storage: InlineStorage | undefined
  registers: Registers
  life = 0
  /** What its disk last died of. */
  problem: string | undefined
  /** It is not to come back: its data are gone, it was removed and turned off, or it found its data damaged. */
  lost = false
  /** Milliseconds that a write takes on average; infinite for a disk that is stuck. */
  diskMs = 0
  /** Each takes as long as the last. */
  evenDisk = false
  /** How fast its clock goes. */
  rate = 1
  /** Ticks do not come. */
  stalled = false
  #paused = false
  #held: Array<() => void> = []
  #missedTicks = 0
  #diskQueue: Array<() => void> = []
  #diskBusy = false

  constructor(id: NodeId, lane: number, initial: Configuration, around: Around) {
    this.id = id
    this.lane = lane
    this.#around = around
    this.#initial = initial
    this.registers = new Registers(around.chunkBytes)
    this.vfs.makeDirectory("/data")
  }

  get isUp(): boolean {
    return this.member !== undefined
  }
  get isPaused(): boolean {
    return this.#paused
  }
  get isDiskStuck(): boolean {
    return this.diskMs === Number.POSITIVE_INFINITY
  }

  /** Begins a life, if the disk lets it. */
  start(): void {
    const { host, observer, cipher, settings, chunkBytes } = this.#around
    if (this.member !== undefined || this.lost) return
    const opened = this.#open()
    if (opened === undefined) return
    if (observer.isExcused(this.id) && !observer.keepsVotes(this.id, opened.recovered)) {
      // Whoever forgot its votes must never vote again; nothing but its operator can know.
      this.lose()
      return
    }
    const life = ++this.life
    this.note(`starts life ${life} with ${opened.recovered.lastIndex} entries`)
    if (life > 1) observer.marks.hit("restarted")
    if (opened.recovered.notes.some((note) => note.startsWith("Dropped frame ")))
      observer.marks.hit("torn tail dropped")
    observer.born(this.id, opened.recovered)
    this.#held = []
    this.#diskQueue = []
    this.#diskBusy = false
    this.#missedTicks = 0
    this.registers = new Registers(chunkBytes, (index, data, digest, repeated) => {
      if (repeated) observer.marks.hit("proposal applied twice, once")
      observer.applied(this.id, index, data, digest)
    })
    const storage = inlineStorage(
      this.vfs,
      cipher,
      opened,
      (turn) => this.#onDisk(life, turn),
      (error) => this.#failed(life, error)
    )
    // As the ledger says when it begins: what a crash left beside the two that are needed goes.
    storage.keepSnapshots(0)
    this.storage = storage
    this.member = new Member({
      id: this.id,
      boot: `${this.id}${life}`,
      initial: this.#initial,
      settings,
      chance: this.#around.chance.fork().state(),
      storage: this.#watched(storage),
      machine: this.registers,
      turns: {
        soon: (turn) =>
          this.#defer(life, () => {
            turn()
            if (this.life === life && this.member !== undefined)
              observer.turned(this.id, this.member.inspect())
          }),
        later: (turn) => void host.after(0, () => this.#run(life, turn)),
        shortly: (turn) => void host.after(3, () => this.#run(life, turn)),
        monotonic: () => host.monotonic()
      },
      send: this.#around.send,
      halted: (error) => {
        if (error instanceof Broken) throw error
        if (!(error instanceof DiskError)) throw new Broken("P", `${this.id} halts: ${error.stack}`)
        observer.marks.hit("disk error ended a member")
        this.problem = error.message
        this.crash("process")
      },
      quarantined: (reason) => {
        this.note(`is quarantined: ${reason}`)
        observer.marks.hit("rolled back and quarantined")
        observer.marked(this.id)
        this.lost = true
      }
    })
    this.#tickAfter(life, 1 + this.#around.chance.below(settings.core.tickMs))
  }

  #open(): OpenedLog | undefined {
    const { cipher, limits, observer } = this.#around
    try {
      const opened = openLog({
        vfs: this.vfs,
        cipher,
        directory: "/data",
        owner: { clusterId: group, nodeId: this.id },
        limits,
        nowMs: 1
      })
      if (opened._tag === "Recovered") {
        if (observer.isExcused(this.id)) observer.marks.hit("rot survived")
        return opened
      }
      if (!observer.isExcused(this.id))
        throw new Broken("P", `${this.id} lost nothing, and opens as ${opened._tag}: ${opened.reason}`)
      observer.marks.hit("rot found")
      this.note(`finds its data damaged: ${opened.reason}`)
      this.lose()
    } catch (error) {
      if (error instanceof PowerLoss) {
        observer.marks.hit("crashed at recovery")
        this.vfs = SimVfs.from(error.image)
      } else if (error instanceof DiskError) {
        this.note(`does not start: ${error.message}`)
        this.vfs.processEnd()
      } else throw error
    }
    return undefined
  }

  /** `process`: as kill -9; `power`: a pulled plug. */
  crash(how: "process" | "power"): void {
    if (this.member === undefined) return
    const { chance, observer } = this.#around
    this.note(`ends: ${how}`)
    this.#end()
    if (how === "power") {
      observer.marks.hit("power lost")
      this.vfs = SimVfs.from(this.vfs.randomImage(() => chance.fraction()))
    } else this.vfs.processEnd()
  }

  /** The power goes in the middle of the `count`th operation from now. */
  armPowerLoss(count: number): void {
    let left = count
    const { chance } = this.#around
    const { vfs } = this
    vfs.during = () => {
      if (--left > 0) return
      vfs.during = undefined
      throw new PowerLoss(vfs.randomImage(() => chance.fraction()))
    }
  }
  disarm(): void {
    this.vfs.during = undefined
    this.vfs.fault = undefined
  }

  /** Never comes back. */
  lose(): void {
    this.note("is lost")
    this.lost = true
    if (this.member !== undefined) this.#end()
  }

  pause(): void {
    this.#paused = true
  }
  /** Everything that was held up happens at once, ticks among it. */
  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    const { life } = this
    const ticks = this.#missedTicks
    this.#missedTicks = 0
    if (ticks > 1 && this.member !== undefined) this.#around.observer.marks.hit("ticks piled up")
    for (let i = 0; i < Math.min(ticks, 50); i++) this.#tick()
    const held = this.#held
    this.#held = []
    for (const turn of held) this.#around.host.defer(() => this.#run(life, turn), this.lane)
  }

  unstick(diskMs: number): void {
    this.diskMs = diskMs
    this.#pump(this.life)
  }

  receive(message: Message): void {
    const { life } = this
    this.#run(life, () => {
      this.#around.observer.heard(this.id, message._tag)
      this.member?.receive(message)
    })
  }

  note(what: string): void {
    this.#around.host.note(`${this.id} ${what}`)
  }

  #end(): void {
    this.life++
    this.member = undefined
    this.storage = undefined
    this.#held = []
    this.#diskQueue = []
    this.#paused = false
    this.disarm()
    this.#around.observer.died(this.id)
  }

  #failed(life: number, error: unknown): void {
    if (error instanceof Broken) throw error
    if (life !== this.life) return
    if (error instanceof PowerLoss) {
      this.#around.observer.marks.hit("crashed in a write")
      this.note("loses power in a write")
      this.#end()
      this.vfs = SimVfs.from(error.image)
    } else this.member?.halt(error as Error)
  }

  /** Turns of a life that is over do not happen; those of one that is held up happen later. */
  #run(life: number, turn: () => void): void {
    if (this.life !== life) return
    if (this.#paused) this.#held.push(turn)
    else turn()
  }

  #defer(life: number, turn: () => void): void {
    this.#around.host.defer(() => this.#run(life, turn), this.lane)
  }

  /** One after another, each as long as the disk takes. */
  #onDisk(life: number, turn: () => void): void {
    if (life !== this.life) return
    this.#diskQueue.push(turn)
    this.#pump(life)
  }

  #pump(life: number): void {
    const [turn] = this.#diskQueue
    if (this.#diskBusy || turn === undefined || this.isDiskStuck) return
    this.#diskBusy = true
    const complete = (): void => {
      this.#diskQueue.shift()
      this.#diskBusy = false
      turn()
      if (this.life === life) this.#pump(life)
    }
    const { host, chance } = this.#around
    if (this.diskMs === 0) this.#defer(life, complete)
    else {
      const ms = this.evenDisk ? this.diskMs : Math.round(this.diskMs * 2 * chance.fraction())
      host.after(ms, () => this.#run(life, complete))
    }
  }

  #tickAfter(life: number, ms: number): void {
    this.#around.host.after(ms, () => {
      if (this.life !== life) return
      if (this.#paused) this.#missedTicks++
      else if (!this.stalled) this.#tick()
      this.#tickAfter(life, Math.round(this.#around.settings.core.tickMs / this.rate))
    })
  }

  #tick(): void {
    this.#around.observer.heard(this.id, "Tick")
    this.member?.tick()
    // What a quiet moment brings in production.
    if (this.#around.chance.below(20) === 0 && this.#diskQueue.length === 0) this.storage?.idle()
  }

  /** The storage, with everybody who passes seen. */
  #watched(storage: InlineStorage): Storage {
    const { observer } = this.#around
    const { id } = this
    return {
      ...storage,
      persist: (batch, durable) => {
        observer.persistAsked(id, batch)
        this.note(
          `writes term ${batch.hardState?.term} cut ${batch.truncateFrom} entries ${batch.entries.map(({ index, term }) => `${index}/${term}`)}`
        )
        storage.persist(batch, (token) => {
          observer.persisted(id)
          durable(token)
        })
      },
      saveSnapshot: (meta, chunks, done) => {
        observer.snapshotAsked(id, meta)
        this.note(`saves a snapshot of ${meta.index}`)
        storage.saveSnapshot(meta, chunks, (saved) => {
          if (saved) {
            observer.persisted(id)
            observer.marks.hit("snapshot saved")
            const count = (folder: string, name: RegExp): number =>
              this.vfs.list(`/data/raft/${folder}`).filter((file) => name.test(file)).length
            observer.snapshotSaved(id, meta.index, count("wal", /\.seg$/), count("snap", /\.snap$/))
          } else observer.snapshotRefused(id)
          done(saved)
        })
      }
    }
  }
}
