/** A group of members in imitated time, its clients and what goes wrong; and the proof that it recovers. */
import { type Configuration, founding, type NodeId, nobody } from "#actors/raft/core/configuration.ts"
import { majorityOf } from "#actors/raft/core/quorum.ts"
import type { Message } from "#actors/raft/host/message.ts"
import { VirtualHost } from "#runtime/host-virtual.ts"
import { Fresh } from "#runtime/ids.ts"
import { Broken } from "#test/simulation/raft/broken.ts"
import { Chaos } from "#test/simulation/raft/chaos.ts"
import { simCipher } from "#test/simulation/raft/cipher.ts"
import { Clients } from "#test/simulation/raft/clients.ts"
import { Marks } from "#test/simulation/raft/marks.ts"
import { Network } from "#test/simulation/raft/network.ts"
import { Observer } from "#test/simulation/raft/observer.ts"
import { type Around, Place } from "#test/simulation/raft/place.ts"
import type { Plan } from "#test/simulation/raft/plan.ts"
import { Registers } from "#test/simulation/raft/registers.ts"
import { judge } from "#test/support/linearizable.ts"

// How long a healed core may take until it leads, answers and agrees: many elections, and snapshots in small chunks.
const recoveryMs = 60_000

export class World {
  readonly plan: Plan
  readonly host: VirtualHost
  readonly marks = new Marks()
  readonly observer: Observer
  readonly network: Network
  readonly places = new Map<NodeId, Place>()
  readonly clients: Clients
  readonly #chance: Fresh
  readonly #around: Around
  #core: ReadonlyArray<Place> | undefined
  #chaos: Chaos | undefined

  /** `loses` takes messages off the network, always: for showing that the simulator notices. */
  constructor(plan: Plan, loses: (message: Message) => boolean = () => false) {
    this.plan = plan
    this.host = new VirtualHost(plan.seed)
    this.#chance = Fresh.from(plan.seed ^ 0x5eed)
    this.observer = new Observer(plan.settings, this.marks)
    this.observer.onRole = (id, { role, term, commit, lastIndex }) => {
      this.host.note(`${id} ${role} in term ${term}, commit ${commit} of ${lastIndex}`)
      if (role === "leader") this.#chaos?.elected()
    }
    this.network = new Network(this.host, this.#chance.fork(), plan.network, this.marks, this.places)
    this.#around = {
      host: this.host,
      observer: this.observer,
      cipher: simCipher(this.#chance.fork()),
      chance: this.#chance.fork(),
      settings: plan.settings,
      limits: plan.limits,
      chunkBytes: plan.chunkBytes,
      send: (message) => {
        this.observer.sent(message)
        if (!loses(message)) this.network.send(message)
      }
    }
    const founders = founding(...Array.from({ length: plan.voters }, (_, n) => `n${n + 1}`))
    for (const id of founders.voters) this.#place(id, founders)
    this.clients = new Clients({
      host: this.host,
      chance: this.#chance.fork(),
      observer: this.observer,
      clients: plan.clients,
      keys: plan.keys,
      pauseMs: plan.pauseMs,
      places: () => this.#core ?? [...this.places.values()]
    })
  }

  #place(id: NodeId, initial: Configuration): Place {
    const place = new Place(id, this.places.size + 1, initial, this.#around)
    place.diskMs = this.plan.diskMs
    this.places.set(id, place)
    return place
  }

  /** A machine that knows nobody yet. */
  add(): Place {
    return this.#place(`n${this.places.size + 1}`, nobody)
  }

  /** The machine of `id` with an empty disk, under its old id; what it was before never comes back. */
  revive(id: NodeId): Place {
    this.places.get(id)?.lose()
    this.observer.excuse(id)
    return this.#place(id, nobody)
  }

  up(): ReadonlyArray<Place> {
    return [...this.places.values()].filter(({ isUp }) => isUp)
  }

  leader(): Place | undefined {
    let best: Place | undefined
    let term = -1
    for (const place of this.up()) {
      const status = this.observer.statusOf(place.id)
      if (status?.role !== "leader") continue
      if (best !== undefined) this.marks.hit("two leaders at one time")
      if (status.term > term) {
        best = place
        term = status.term
      }
    }
    return best
  }

  /** Every configuration that may be in force somewhere: the last committed one, and all that came after it. */
  configurations(): ReadonlyArray<Configuration> {
    const { committed } = this.observer
    const last = committed.findLast(({ configuration }) => configuration !== undefined)?.configuration
    const found = [last ?? founding(...Array.from({ length: this.plan.voters }, (_, n) => `n${n + 1}`))]
    for (const { id } of this.places.values()) {
      const { lines } = this.observer.durableOf(id)
      for (let at = lines.length; at > committed.length; at--) {
        const configuration = lines[at - 1]?.configuration
        if (configuration !== undefined) found.push(configuration)
      }
      const held = this.observer.statusOf(id)
      if (held !== undefined && held.configurationIndex > committed.length) found.push(held.configuration)
    }
    return found
  }

  /** The whole life: faults, as chance or `script` has them, then recovery, then the books are checked. */
  run(script?: () => void): void {
    for (const place of this.places.values()) place.start()
    for (let n = 0; n < this.plan.learners; n++) {
      const place = this.add()
      place.start()
      this.#addLearner(place.id)
    }
    this.clients.start()
    if (script === undefined) {
      const chaos = new Chaos(this, this.#chance.fork())
      this.#chaos = chaos
      chaos.start()
      this.host.advance(this.plan.lifeMs)
      chaos.stop()
    } else script()
    this.#recover()
    this.#checkBooks()
  }

  #addLearner(id: NodeId): void {
    const leader = this.leader()
    const again = (): void => void this.host.after(300, () => this.#addLearner(id))
    if (this.#core !== undefined) return
    if (leader?.member === undefined) {
      again()
      return
    }
    leader.member.change({ _tag: "AddLearner", node: id }, false, (result) => {
      if (result._tag === "Appended") this.marks.hit("learner added")
      else again()
    })
  }

  // ── liveness

  /**
   * Heals the links inside a core that can decide, and nothing else. It must elect one leader, finish what clients wait
   * for, agree, and keep its leader.
   */
  #recover(): void {
    // Who finds its data damaged says so at its start, and counts no more.
    for (const place of this.places.values()) {
      place.disarm()
      place.vfs.capacity = Number.POSITIVE_INFINITY
      for (let tries = 0; tries < 2; tries++) place.start()
    }
    const core = this.#chooseCore()
    if (core === undefined) return
    this.#core = core
    const ids = core.map(({ id }) => id)
    this.host.note(`recovery with ${ids.join(" ")}`)
    this.network.heal()
    this.network.calm()
    for (const place of this.places.values()) {
      const isCore = core.includes(place)
      if (isCore) {
        place.resume()
        place.stalled = false
        place.rate = 1
        place.unstick(this.plan.diskMs)
        place.storage?.idle()
      } else if (this.#chance.below(2) === 0) place.crash("process")
      else {
        // It talks on, and hears nobody.
        for (const id of ids) this.network.cut(id, place.id)
      }
    }
    this.clients.stop()
    const isSettled = (): boolean => this.clients.areDone && this.#agree(core)
    if (!this.host.runUntil(isSettled, recoveryMs)) {
      // Of one that is told only now that its disk went back, nothing can be asked.
      if (
        !this.#isEnough(
          core.filter(({ lost }) => !lost),
          this.configurations()
        )
      )
        return
      throw new Broken("L", `the group does not recover:\n${this.#show()}`)
    }
    // A transfer that was asked for before the healing ends, one way or the other, within an election timeout.
    this.host.advance(1_000)
    this.host.runUntil(isSettled, recoveryMs)
    const { leaderChanges } = this.observer
    const leader = this.leader()
    this.host.advance(2_500)
    if (this.observer.leaderChanges !== leaderChanges || this.leader() !== leader) {
      throw new Broken("L", `the leader of a healed group changes from ${leader?.id} to ${this.leader()?.id}`)
    }
    this.marks.hit("core of the group came back")
  }

  /** Whoever is needed by every configuration that may be in force, and by chance some more. */
  #chooseCore(): ReadonlyArray<Place> | undefined {
    const now = this.configurations()
    // A learner that has caught up may be made a voter at any moment.
    const soon = now.flatMap(({ voters, learners }) => learners.map((id) => ({ voters: [...voters, id] })))
    const whole = [...this.places.values()].filter(({ lost }) => !lost)
    const order = whole.map((place) => ({ place, at: this.#chance.fraction() })).sort((a, b) => a.at - b.at)
    const core: Array<Place> = []
    // More was lost than a majority can do without: nothing is promised then.
    if (!this.#isEnough(whole, now)) return undefined
    for (const { place } of order) if (!this.#isEnough(core, [...now, ...soon])) core.push(place)
    if (this.#chance.below(3) === 0) return whole
    return core
  }

  #isEnough(
    places: ReadonlyArray<Place>,
    configurations: ReadonlyArray<Pick<Configuration, "voters">>
  ): boolean {
    return configurations.every(
      ({ voters }) => places.filter(({ id }) => voters.includes(id)).length >= majorityOf(voters.length)
    )
  }

  #agree(core: ReadonlyArray<Place>): boolean {
    const leader = this.leader()
    if (leader === undefined || !core.includes(leader)) return false
    const status = this.observer.statusOf(leader.id)
    if (status === undefined || status.commit < status.lastIndex) return false
    const { voters, learners } = status.configuration
    return core.every((place) => {
      if (place.lost || (!voters.includes(place.id) && !learners.includes(place.id))) return true
      const theirs = this.observer.statusOf(place.id)
      return (
        theirs !== undefined &&
        theirs.applied === status.commit &&
        theirs.term === status.term &&
        place.registers.digest === leader.registers.digest
      )
    })
  }

  #show(): string {
    return [...this.places.values()]
      .map((place) => {
        const at = this.observer.statusOf(place.id)
        const what = place.lost ? "lost" : place.isUp ? "up" : "down"
        if (at === undefined) return `${place.id} ${what}`
        const peers = at.peers.map(
          ({ id, state, match, next, inFlight }) => `${id} ${state} ${match}/${next} ${inFlight}`
        )
        return (
          `${place.id} ${what} ${at.role} term ${at.term} of ${at.leader}, commit ${at.commit}, applied ${at.applied}, ` +
          `log ${at.firstIndex}–${at.lastIndex}, durable ${at.durable}, voters ${at.configuration.voters} learners ${at.configuration.learners} ` +
          `at ${at.configurationIndex}, waiting ${at.pendingProposals} ${at.pendingReads}, fetching ${JSON.stringify(at.fetching)}, ` +
          `removed ${at.removed}, quarantined ${at.quarantined}${peers.map((peer) => `\n    ${peer}`).join("")}`
        )
      })
      .join("\n")
  }

  // ── the books

  /** I11, I12: what was answered happened, once, and what was refused did not; and clients saw one history. */
  #checkBooks(): void {
    const commands = this.observer.commands()
    const names = new Set(commands.map(({ name }) => name))
    for (const { command, refused, end } of this.clients.fates) {
      const name = `${command.client}/${command.seq}`
      if (refused && names.has(name))
        throw new Broken("I11", `${name} was refused for certain, and is in the log`)
      if (end !== undefined && !names.has(name))
        throw new Broken("I11", `${name} was answered, and is not in the log`)
    }
    const model = new Registers(1)
    for (const { index } of commands) model.apply(index, this.observer.commandAt(index))
    for (const { command, result, end } of this.clients.fates) {
      if (end === undefined) continue
      const name = `${command.client}/${command.seq}`
      if (model.results.get(name) !== result)
        throw new Broken("I11", `${name} was answered ${result}, the log says ${model.results.get(name)}`)
    }
    const judgement = judge(this.clients.history())
    if (judgement._tag === "Broken") {
      const show = (some: ReadonlyArray<unknown>): string => some.map((one) => JSON.stringify(one)).join("\n")
      throw new Broken(
        "I12",
        `register ${judgement.key} is not linearizable; after\n${show(judgement.longest)}\nnone can be next of\n${show(judgement.stuck)}`
      )
    }
  }
}
