/**
 * The managers' Raft group in a simulated cluster: the product's members on imitated disks, in the lives of the
 * managers' processes, on the network that everything else uses.
 */
import { Effect } from "effect"
import { type Configuration, founding, nobody } from "#actors/raft/core/configuration.ts"
import { serviceOf } from "#actors/raft/group.ts"
import { Member } from "#actors/raft/host/member.ts"
import type { Message } from "#actors/raft/host/message.ts"
import { hostSettings } from "#actors/raft/host/settings.ts"
import type { OpenRaft } from "#actors/raft/protocol.ts"
import { openLog } from "#actors/raft/storage/open.ts"
import type { VirtualHost } from "#runtime/host-virtual.ts"
import type { Fresh } from "#runtime/ids.ts"
import type { Life } from "#runtime/life.ts"
import type { Network } from "#runtime/transport/network.ts"
import { simCipher } from "#test/simulation/raft/cipher.ts"
import { type Fate, faultyRaft } from "#test/support/faulty-raft.ts"
import { inlineStorage } from "#test/support/inline-storage.ts"
import { SimVfs } from "#test/support/sim-vfs.ts"

const limits = { segmentBytes: 64 * 1024, reserveBytes: 1024, zeroBytes: 8 * 1024 }
// Low enough for a seed to come by snapshots, and by members that need one.
const settings = { ...hostSettings, snapshotEntries: 400 }
// What a write to the disk takes.
const diskMs = { least: 1, most: 4 }

interface Place {
  vfs: SimVfs
  member: Member | undefined
  receive: (message: Message) => void
}

export interface GroupOptions {
  readonly host: VirtualHost
  readonly chance: Fresh
  readonly network: Network
  readonly clusterId: string
  /** Who begins the group; all others wait to be let in. */
  readonly founder: string
  readonly halted: (name: string, error: Error) => void
}

export class SimulatedGroup {
  /** How likely a proposal ends without being known to have been applied, from 0 to 1. */
  doubt = 0
  readonly #options: GroupOptions
  readonly #places = new Map<string, Place>()
  #boots = 0

  constructor(options: GroupOptions) {
    this.#options = options
  }

  /** A member in one life of a manager's process, called like its machine. */
  openIn(life: Life): OpenRaft<never> {
    return ({ clusterId, nodeId, machine }) =>
      Effect.sync(() => {
        const { chance, founder, halted } = this.#options
        const place = this.#placeOf(nodeId)
        const cipher = simCipher(chance.fork())
        const owner = { clusterId, nodeId }
        const opened = openLog({ vfs: place.vfs, cipher, directory: "/data", owner, limits, nowMs: 1 })
        if (opened._tag !== "Recovered") throw new Error(`the log of ${nodeId} opens as ${opened._tag}`)
        const initial: Configuration = nodeId === founder ? founding(founder) : nobody
        const member = new Member({
          id: nodeId,
          boot: `${nodeId}-${++this.#boots}`,
          initial,
          settings,
          chance: chance.fork().state(),
          storage: inlineStorage(place.vfs, cipher, opened, this.#diskOf(life), (error) =>
            member.halt(error as Error)
          ),
          machine,
          turns: {
            soon: (turn) => life.host.defer(turn),
            later: (turn) => void life.host.after(0, turn),
            shortly: (turn) => void life.host.after(3, turn),
            monotonic: () => life.host.monotonic()
          },
          send: (message) => this.#carry(message),
          halted: (error) => halted(nodeId, error),
          quarantined: (reason) => halted(nodeId, new Error(reason))
        })
        place.member = member
        place.receive = life.whileAlive((message) => member.receive(message))
        this.#tick(life, member)
        const faulty = faultyRaft(serviceOf(member), (turn) => void life.host.after(1, turn))
        faulty.decide(() => this.#fate())
        return faulty.raft
      })
  }

  /** The process is dead: what was not synced is lost where the machine lost its power, too. */
  crash(name: string, how: "process" | "power"): void {
    const place = this.#placeOf(name)
    place.member = undefined
    place.receive = () => {}
    const { chance } = this.#options
    if (how === "power") place.vfs = SimVfs.from(place.vfs.randomImage(() => chance.fraction()))
    else place.vfs.processEnd()
  }

  /** Who believes to lead, the one of the latest term first. */
  leaders(): ReadonlyArray<string> {
    const leading: Array<readonly [string, number]> = []
    for (const [name, { member }] of this.#places) {
      const word = member?.leadership()
      if (word?._tag === "Leading") leading.push([name, word.term])
    }
    return leading.sort(([, a], [, b]) => b - a).map(([name]) => name)
  }

  /** The leader hands over, where somebody can take it. */
  stepDown(): void {
    const [leader] = this.leaders()
    if (leader !== undefined) this.#placeOf(leader).member?.transfer(undefined, () => {})
  }

  /** Snapshots, so that whoever is behind cannot be given entries. */
  compact(): void {
    for (const { member } of this.#places.values()) member?.compact(() => {})
  }

  #placeOf(name: string): Place {
    const known = this.#places.get(name)
    if (known !== undefined) return known
    const place: Place = { vfs: new SimVfs(), member: undefined, receive: () => {} }
    place.vfs.makeDirectory("/data")
    this.#places.set(name, place)
    return place
  }

  #carry(message: Message): void {
    const { host, network } = this.#options
    for (const ms of network.link(message.from, message.to, "raft"))
      host.after(ms, () => this.#placeOf(message.to).receive(message))
  }

  /** One write after the other. */
  #diskOf(life: Life): (turn: () => void) => void {
    const { chance } = this.#options
    let freeAt = 0
    return (turn) => {
      const now = life.host.monotonic()
      freeAt = Math.max(now, freeAt) + diskMs.least + chance.below(diskMs.most - diskMs.least + 1)
      life.host.after(freeAt - now, turn)
    }
  }

  #tick(life: Life, member: Member): void {
    life.host.after(settings.core.tickMs, () => {
      member.tick()
      this.#tick(life, member)
    })
  }

  #fate(): Fate {
    const { chance } = this.#options
    if (this.doubt === 0 || chance.fraction() >= this.doubt) return "pass"
    const dice = chance.fraction()
    if (dice < 0.45) return "unknown-applied"
    return dice < 0.9 ? "unknown-lost" : "overloaded"
  }
}
