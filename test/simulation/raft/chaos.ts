/** What goes wrong, and when it is put right. Chance decides; the plan says which kinds there are. */
import type { ConfigChange, Configuration, NodeId } from "#actors/raft/core/configuration.ts"
import { majorityOf } from "#actors/raft/core/quorum.ts"
import type { Fresh } from "#runtime/ids.ts"
import { Broken } from "#test/simulation/raft/broken.ts"
import type { Place } from "#test/simulation/raft/place.ts"
import type { FaultName } from "#test/simulation/raft/plan.ts"
import type { World } from "#test/simulation/raft/world.ts"
import { type Image, SimVfs } from "#test/support/sim-vfs.ts"

const mostMembers = 9

/** A disk as it once was. */
interface Kept {
  readonly image: Image
  readonly term: number
  readonly vote: NodeId
  readonly configured: number
}

export class Chaos {
  readonly #world: World
  readonly #chance: Fresh
  #stopped = false
  readonly #kept = new Map<NodeId, Kept>()
  readonly #removed = new Set<NodeId>()

  constructor(world: World, chance: Fresh) {
    this.#world = world
    this.#chance = chance
  }

  start(): void {
    this.#schedule()
  }
  /** Somebody was elected: what is asked of a leader in its first moments is harder for it. */
  elected(): void {
    if (this.#stopped || this.#chance.below(3) > 0) return
    const { plan, host } = this.#world
    host.after(this.#chance.below(5), () => {
      if (this.#stopped) return
      if (plan.faults.includes("membership")) this.#change()
      if (plan.faults.includes("partition") && this.#chance.below(3) === 0) this.#cutOffLeader()
    })
  }
  stop(): void {
    this.#stopped = true
  }

  #schedule(): void {
    const { plan, host } = this.#world
    if (plan.faults.length === 0) return
    host.after(20 + this.#chance.below(2 * plan.faultEveryMs), () => {
      if (this.#stopped) return
      this.#strike(this.#pick(plan.faults))
      this.#schedule()
    })
  }

  #pick<A>(choices: ReadonlyArray<A>): A {
    return choices[this.#chance.below(choices.length)] as A
  }
  #some(places: ReadonlyArray<Place>): Place | undefined {
    // The leader is hit more often than chance would have it.
    const leader = this.#world.leader()
    if (leader !== undefined && places.includes(leader) && this.#chance.below(3) === 0) return leader
    return places.length === 0 ? undefined : this.#pick(places)
  }
  #after(mostMs: number, then: () => void): void {
    this.#world.host.after(20 + this.#chance.below(mostMs), () => {
      if (!this.#stopped) then()
    })
  }

  #strike(fault: FaultName): void {
    const up = this.#world.up()
    const place = this.#some(up)
    if (place === undefined) return
    this.#world.host.note(`fault ${fault} at ${place.id}`)
    switch (fault) {
      case "partition":
        this.#partition(false)
        return
      case "one-way":
        this.#partition(true)
        return
      case "clog": {
        const other = this.#pick([...this.#world.places.keys()])
        this.#world.network.clog(place.id, other, this.#chance.below(5_000))
        return
      }
      case "refuse-large":
        this.#world.network.largest = this.#chance.below(3)
        this.#after(3_000, () => {
          this.#world.network.largest = Number.POSITIVE_INFINITY
        })
        return
      case "crash":
      case "power-loss":
        place.crash(fault === "crash" ? "process" : "power")
        this.#restart(place, 4_000)
        return
      case "crash-in-write":
        place.armPowerLoss(1 + this.#chance.below(12))
        this.#restartWhenDown(place)
        return
      case "crash-all":
        this.#world.marks.hit("all members down")
        for (const each of up) {
          each.crash(this.#chance.below(2) === 0 ? "process" : "power")
          this.#restart(each, 2_000)
        }
        return
      case "pause":
        place.pause()
        this.#after(this.#chance.below(4) === 0 ? 8_000 : 1_500, () => place.resume())
        return
      case "stall":
        place.stalled = true
        this.#after(4_000, () => {
          place.stalled = false
        })
        return
      case "clock":
        place.rate = this.#pick([0.5, 0.7, 1, 1, 1.5, 2])
        return
      case "slow-disk":
        place.diskMs = this.#pick([0, 10, 100, 500, 1_000])
        this.#after(5_000, () => {
          if (!place.isDiskStuck) place.diskMs = this.#world.plan.diskMs
        })
        return
      case "stuck-disk": {
        const wasLeader = this.#world.leader() === place
        place.diskMs = Number.POSITIVE_INFINITY
        this.#after(10_000, () => {
          if (wasLeader && this.#world.leader() !== place)
            this.#world.marks.hit("leader with a stuck disk stepped down")
          place.unstick(this.#world.plan.diskMs)
        })
        return
      }
      case "disk-full":
        place.vfs.capacity = place.vfs.usedBytes + this.#chance.below(40_000)
        place.storage?.idle()
        this.#after(4_000, () => {
          if (place.storage?.status().low === true) this.#world.marks.hit("disk low")
          place.vfs.capacity = Number.POSITIVE_INFINITY
          place.storage?.idle()
        })
        return
      case "disk-error":
        this.#diskError(place)
        return
      case "rot":
        this.#rot(place)
        return
      case "rollback":
        this.#rollback(place)
        return
      case "rollback-soon": {
        const kept = this.#keep(place)
        this.#after(1_500, () => this.#rollBackTo(place, kept))
        return
      }
      case "full-at-snapshot":
        this.#whenFetching(place, () => {
          place.vfs.capacity = place.vfs.usedBytes + this.#chance.below(3_000)
          place.storage?.idle()
          if (this.#chance.below(3) === 0) this.#after(1_000, () => this.#powerLoss(place))
          this.#after(3_000, () => {
            place.vfs.capacity = Number.POSITIVE_INFINITY
            place.storage?.idle()
          })
        })
        return
      case "sender-leaves":
        // Behind what the others' logs reach.
        place.crash(this.#chance.below(2) === 0 ? "process" : "power")
        this.#restart(place, 2_000)
        this.#whenFetching(place, () => this.#leave())
        return
      case "wipe":
        this.#wipe(place)
        return
      case "membership":
        this.#change()
        return
      case "transfer":
        this.#transfer()
        return
      case "hint": {
        // True or not: it must harm nothing.
        const gone = this.#pick([...this.#world.places.keys()])
        this.#world.marks.hit("peer hinted gone")
        for (const each of up) if (this.#chance.below(2) === 0) each.member?.peerGone(gone)
        return
      }
      case "foreign":
        this.#world.network.foreign({
          _tag: "Vote",
          from: this.#pick([...this.#world.places.keys()]),
          to: place.id,
          term: 1_000_000,
          lastIndex: 1_000_000,
          lastTerm: 1_000_000,
          transfer: true
        })
        return
    }
  }

  // ── lives

  #restart(place: Place, mostMs: number): void {
    this.#after(mostMs, () => {
      place.start()
      // A start that failed is tried again.
      if (!place.isUp && !place.lost) this.#restart(place, mostMs)
    })
  }

  #restartWhenDown(place: Place): void {
    this.#after(2_000, () => {
      if (place.isUp) {
        place.disarm()
        return
      }
      // Sometimes the power goes again while it recovers.
      if (this.#chance.below(3) === 0) {
        place.armPowerLoss(1 + this.#chance.below(8))
        place.start()
        place.disarm()
      }
      this.#restart(place, 1_000)
    })
  }

  #diskError(place: Place): void {
    let left = this.#chance.below(6)
    const applied = this.#chance.below(2) === 0
    place.vfs.fault = () => (left-- > 0 ? undefined : { code: "EIO", applied })
    this.#after(2_000, () => {
      place.vfs.fault = undefined
      if (!place.isUp) this.#restart(place, 1_000)
    })
  }

  #powerLoss(place: Place): void {
    place.crash("power")
    this.#restart(place, 1_000)
  }

  // ── snapshots on their way

  /** At the first moment in which `place` fetches a snapshot, within two seconds. */
  #whenFetching(place: Place, then: () => void, tries = 400): void {
    if (this.#stopped || tries === 0) return
    if (this.#world.observer.statusOf(place.id)?.fetching !== undefined) then()
    else this.#world.host.after(5, () => this.#whenFetching(place, then, tries - 1))
  }

  /** The leader, whose snapshot somebody fetches, is the leader no more, or takes another snapshot. */
  #leave(): void {
    const leader = this.#world.leader()
    switch (this.#chance.below(5)) {
      case 0:
        leader?.crash("process")
        if (leader !== undefined) this.#restart(leader, 1_000)
        return
      case 1:
        this.#cutOffLeader()
        return
      case 2:
        leader?.pause()
        this.#after(1_500, () => leader?.resume())
        return
      case 3:
        leader?.member?.compact(() => {})
        return
      case 4:
        leader?.member?.transfer(undefined, () => {})
    }
  }

  // ── lost data, never so much that what was promised could be lost

  /** Whether the group can do without `place` for good, or even with it having forgotten its newest promises. */
  #canSpare(place: Place, forgets: boolean): boolean {
    const { lines, hard } = this.#world.observer.durableOf(place.id)
    return this.#world.configurations().every(({ voters }) => {
      if (!voters.includes(place.id)) return true
      const others = voters.filter((id) => id !== place.id && this.#world.places.get(id)?.lost === false)
      const needed = majorityOf(voters.length)
      if (others.length < needed) return false
      if (!forgets) return true
      const last = lines.at(-1)
      const have = others.filter((id) => {
        const theirs = this.#world.observer.durableOf(id)
        if (last === undefined) return true
        return this.#world.observer.isKnown(id) && theirs.lines[last.index - 1] === last
      })
      return have.length >= needed && hard.term > 0
    })
  }

  #rot(place: Place): void {
    if (!this.#canSpare(place, true)) return
    place.crash("process")
    const image = new Map(place.vfs.image())
    const files = [...image.keys()].filter(
      (path) => path.includes("/raft/") && (image.get(path)?.length ?? 0) > 0
    )
    const path = this.#pick(files)
    const bytes = (image.get(path) as Uint8Array).slice()
    const sector = this.#chance.below(Math.ceil(bytes.length / 512)) * 512
    if (this.#chance.below(2) === 0) bytes.fill(0, sector, sector + 512)
    else {
      const at = sector + this.#chance.below(Math.min(512, bytes.length - sector))
      bytes[at] = (bytes[at] as number) ^ (1 << this.#chance.below(8))
    }
    image.set(path, bytes)
    place.vfs = SimVfs.from(image)
    this.#world.host.note(`rot in ${path} at ${sector}`)
    this.#world.observer.excuse(place.id)
    this.#restart(place, 1_000)
  }

  #rollback(place: Place): void {
    const kept = this.#kept.get(place.id)
    if (kept !== undefined && this.#isOfNow(place, kept)) {
      this.#kept.delete(place.id)
      this.#rollBackTo(place, kept)
    } else this.#kept.set(place.id, this.#keep(place))
  }

  #keep(place: Place): Kept {
    return { image: place.vfs.durableImage(), ...this.#standing(place) }
  }

  #standing({ id }: Place): Omit<Kept, "image"> {
    const { hard, lines } = this.#world.observer.durableOf(id)
    const configured = lines.findLastIndex(({ configuration }) => configuration !== undefined)
    return { ...hard, configured }
  }

  /**
   * Whoever forgot its vote must not vote again, and back where it was the only voter it would ask nobody: no member can know
   * of others that it has never heard of.
   */
  #isOfNow(place: Place, kept: Kept): boolean {
    const { term, vote, configured } = this.#standing(place)
    return kept.term === term && kept.vote === vote && kept.configured === configured
  }

  #rollBackTo(place: Place, kept: Kept): void {
    if (!place.isUp || !this.#isOfNow(place, kept) || !this.#canSpare(place, true)) return
    place.crash("process")
    place.vfs = SimVfs.from(kept.image)
    this.#world.host.note(`${place.id} is rolled back`)
    this.#world.observer.excuse(place.id)
    this.#restart(place, 500)
  }

  #wipe(place: Place): void {
    if (!this.#canSpare(place, false)) return
    place.lose()
    this.#replace(place.id, 20)
  }

  /** Out with the lost one, in with a new id. */
  #replace(lost: NodeId, tries: number): void {
    const leader = this.#world.leader()
    const again = (): void => {
      if (tries > 0) this.#after(1_000, () => this.#replace(lost, tries - 1))
    }
    if (leader?.member === undefined) {
      again()
      return
    }
    leader.member.change({ _tag: "Remove", node: lost }, false, (result) => {
      if (result._tag !== "Appended") again()
      else {
        this.#removed.add(lost)
        this.#world.marks.hit("dead member removed")
        this.#join()
        this.#world.marks.hit("wiped and replaced")
      }
    })
  }

  // ── membership

  #join(): void {
    if (this.#world.places.size >= mostMembers + this.#removed.size) return
    const place = this.#world.add()
    place.start()
    this.#ask({ _tag: "AddLearner", node: place.id }, 5)
  }

  #ask(change: ConfigChange, tries: number): void {
    const leader = this.#world.leader()
    const again = (): void => {
      if (tries > 0) this.#after(500, () => this.#ask(change, tries - 1))
    }
    if (leader?.member === undefined) {
      again()
      return
    }
    const { marks, host, places } = this.#world
    const target = places.get(change.node)
    const wasUp = target?.isUp === true
    const wasRemoved = this.#removed.has(change.node)
    host.note(`ask ${change._tag} ${change.node} at ${leader.id}`)
    leader.member.change(change, false, (result) => {
      host.note(`${change._tag} ${change.node} ${result._tag}`)
      if (result._tag === "Refused") marks.hit("change refused")
      if (result._tag !== "Appended") {
        again()
        return
      }
      switch (change._tag) {
        case "AddLearner":
          // A leader that was paused answers long after, of what it did before the removal.
          if (wasRemoved) throw new Broken("I13", `${change.node} was removed, and was added again`)
          marks.hit("learner added")
          return
        case "Promote":
          marks.hit("learner promoted")
          return
        case "Demote":
          marks.hit("voter demoted")
          return
        case "Remove":
          marks.hit("member removed")
          if (leader.id === change.node) marks.hit("leader removed")
          if (!wasUp) marks.hit("dead member removed")
          this.#removed.add(change.node)
          // Half of them go on and try to take part.
          if (this.#chance.below(2) === 0) target?.lose()
      }
    })
  }

  #change(): void {
    // Now and then the leader is cut off with the change in its log alone.
    if (this.#world.plan.faults.includes("partition") && this.#chance.below(4) === 0) {
      this.#world.host.after(this.#chance.below(20), () => {
        if (!this.#stopped) this.#cutOffLeader()
      })
    }
    const leader = this.#world.leader()
    const status = leader?.member?.inspect()
    if (leader === undefined || status === undefined) return
    const { configuration, configurationIndex, commit } = status
    const { voters, learners, removed } = configuration
    const choice = this.#chance.below(6)
    // Whose removal is not committed yet may be needed still, with all that it promised.
    if (choice === 0 && removed.length > 0 && configurationIndex <= commit) {
      this.#illegalReturn(this.#pick(removed))
      return
    }
    if (choice <= 2 && voters.length + learners.length < 7) this.#join()
    else if (choice === 3 && learners.length > 0)
      this.#ask({ _tag: "Promote", node: this.#pick(learners) }, 3)
    else if (choice === 4 && voters.length > 1) this.#ask({ _tag: "Demote", node: this.#pick(voters) }, 0)
    else if (voters.length > 1 && this.#isSafeWithout(configuration)) {
      const node = this.#pick([...voters, ...learners])
      this.#ask({ _tag: "Remove", node }, 1)
    }
  }

  /** Removals leave groups of two, now and then of one; rarely do they go on to that. */
  #isSafeWithout({ voters }: Configuration): boolean {
    return voters.length > 2 || this.#chance.below(4) === 0
  }

  /** It comes back under its old id, with an empty disk: nobody may take it for a member. */
  #illegalReturn(id: NodeId): void {
    const place = this.#world.places.get(id)
    if (place === undefined) return
    if (!place.isUp) {
      const again = this.#world.revive(id)
      again.start()
    }
    const leader = this.#world.leader()
    leader?.member?.change({ _tag: "AddLearner", node: id }, true, (result) => {
      if (result._tag === "Appended") throw new Broken("I13", `${id} was removed, and was added again`)
      if (result._tag === "Refused") this.#world.marks.hit("removed id refused")
    })
  }

  #transfer(): void {
    const leader = this.#world.leader()
    const before = leader?.id
    if (leader?.member === undefined) return
    const to = this.#chance.below(2) === 0 ? undefined : this.#pick([...this.#world.places.keys()])
    leader.member.transfer(to, (result) => {
      if (result._tag !== "Started") return
      this.#after(1_000, () => {
        const now = this.#world.leader()?.id
        if (now !== undefined && now !== before) this.#world.marks.hit("leadership handed over")
      })
    })
  }

  // ── links

  #cutOffLeader(): void {
    const { network, places, marks } = this.#world
    const leader = this.#world.leader()
    if (leader === undefined) return
    marks.hit("leader cut off")
    for (const id of places.keys()) {
      if (id === leader.id) continue
      network.cut(leader.id, id)
      network.cut(id, leader.id)
    }
    this.#after(4_000, () => network.heal())
  }

  #partition(oneWay: boolean): void {
    const { network, places, marks } = this.#world
    network.heal()
    const ids = [...places.keys()]
    const cut = (from: NodeId, to: NodeId): void => {
      network.cut(from, to)
      if (!oneWay) network.cut(to, from)
    }
    const leader = this.#world.leader()
    const side = new Map(ids.map((id) => [id, this.#chance.below(2)]))
    switch (this.#chance.below(8)) {
      case 7:
        this.#cutOffLeader()
        return
      case 0: {
        const alone = leader !== undefined && this.#chance.below(2) === 0 ? leader.id : this.#pick(ids)
        if (alone === leader?.id) marks.hit("leader cut off")
        const outwards = this.#chance.below(2) === 0
        for (const id of ids) if (id !== alone) outwards ? cut(alone, id) : cut(id, alone)
        break
      }
      case 1:
        for (const a of ids)
          for (const b of ids) if (side.get(a) !== side.get(b) && side.get(a) === 0) cut(a, b)
        break
      case 2:
        // Each link by itself.
        for (const a of ids) for (const b of ids) if (a !== b && this.#chance.below(3) === 0) cut(a, b)
        break
      case 3:
        // A ring: each hears only its neighbours.
        for (const [i, a] of ids.entries())
          for (const [j, b] of ids.entries()) {
            const apart = Math.abs(i - j)
            if (apart > 1 && apart < ids.length - 1) cut(a, b)
          }
        break
      case 4: {
        // One that hears both sides.
        const bridge = this.#pick(ids)
        for (const a of ids)
          for (const b of ids)
            if (a !== bridge && b !== bridge && side.get(a) === 0 && side.get(b) === 1) cut(a, b)
        break
      }
      case 5: {
        const a = this.#pick(ids)
        const b = this.#pick(ids)
        if (a !== b) cut(a, b)
        break
      }
      case 6: {
        // The leader from a majority.
        const from = leader?.id ?? this.#pick(ids)
        for (const id of ids.filter((other) => other !== from).slice(0, Math.ceil(ids.length / 2)))
          cut(from, id)
      }
    }
    this.#after(this.#chance.below(3) === 0 ? 10_000 : 2_500, () => network.heal())
  }
}
