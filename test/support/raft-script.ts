/**
 * Conversations of cores as text: commands in, everything that is said out, and the whole of it compared with what was
 * written down last time. `REWRITE=1` writes it down again; read the difference before you keep it.
 *
 *     group a b c                          founders; `with name=number …` sets settings
 *     expire a | tick a 3 | time 5         time passes: for a until it campaigns, for a, for everybody
 *     settle                               letters arrive and writes become durable until nothing is left
 *     send a b | lose a b | again a b      what is on its way from a to b arrives, is lost, arrives and stays on its way;
 *                                          `*` for everybody
 *     hold a | persist a | release a       writes of a wait, one of them becomes durable, all of them do
 *     propose a x y | read a 1 | transfer a b | change a add|promote|demote|remove d [force]
 *     cut a b | isolate a | heal | crash a | restart a | compact a | gone a b | join d
 *     log a 1.noop 1.x 2.z | term a 3      a's disk before its start: entries as term.text
 *     show | show a                        where members stand
 *     is a leader term=1 commit=2 …        must hold, or the script fails whatever was written down
 */
import {
  decodeConfiguration,
  encodeConfiguration,
  founding,
  type NodeId,
  nobody
} from "#actors/raft/core/configuration.ts"
import type { CoreMessage } from "#actors/raft/core/message.ts"
import { type CoreSettings, coreSettings } from "#actors/raft/core/settings.ts"
import { type Entry, entryType } from "#actors/raft/entry.ts"
import { command, type Disk, dataOf, Group, textOf } from "#test/support/raft-group.ts"

const configText = (data: Uint8Array): string => {
  const { voters, learners, removed } = decodeConfiguration(data)
  const part = (name: string, ids: ReadonlyArray<NodeId>): string =>
    ids.length === 0 ? "" : ` ${name} ${ids.join(" ")}`
  return `config ${voters.join(" ")}${part("learners", learners)}${part("removed", removed)}`
}

export const entryText = ({ index, term, type, data }: Entry): string => {
  const what =
    type === entryType.noop ? "noop" : type === entryType.config ? configText(data) : `"${textOf(data)}"`
  return `${index}/${term} ${what}`
}

export function messageText(message: CoreMessage): string {
  const head = `${message.from}→${message.to} ${message._tag} term ${message.term}`
  switch (message._tag) {
    case "PreVote":
    case "Vote": {
      const transfer = message._tag === "Vote" && message.transfer ? " transfer" : ""
      return `${head} log ${message.lastIndex}/${message.lastTerm}${transfer}`
    }
    case "PreVoteReply":
    case "VoteReply":
      return `${head} ${message.granted ? "yes" : "no"}`
    case "Append": {
      const entries = message.entries.length === 0 ? "" : ` [${message.entries.map(entryText).join(", ")}]`
      const quiet = message.quiet ? " quiet" : ""
      return `${head} after ${message.prevIndex}/${message.prevTerm} commit ${message.commit}${entries}${quiet}`
    }
    case "AppendReply":
      return message.accepted
        ? `${head} has ${message.index}`
        : `${head} refuses ${message.index} hint ${message.hintIndex}/${message.hintTerm}`
    case "Heartbeat":
      return `${head} commit ${message.commit}${message.read > 0 ? ` read ${message.read}` : ""}`
    case "Acknowledged":
      return `${head} has ${message.index}`
    case "HeartbeatReply":
      return `${head}${message.read > 0 ? ` read ${message.read}` : ""}`
    case "SnapshotOffer":
      return `${head} snapshot ${message.index}/${message.snapshotTerm} ${configText(message.config)}`
    case "TimeoutNow":
    case "Removed":
    case "Quarantined":
      return head
  }
}

export class Script {
  #group: Group = new Group([])
  #out: Array<string> = []

  /** The text again, each command followed by what it led to. */
  run(text: string): string {
    const out: Array<string> = []
    for (const line of text.split("\n")) {
      if (line.startsWith("  ")) continue
      out.push(line)
      if (line === "" || line.startsWith("#")) continue
      this.#out = []
      try {
        this.#do(line.split(" "))
      } catch (error) {
        throw new Error(`${line}\n${out.slice(-25).join("\n")}\n${(error as Error).message}`, {
          cause: error
        })
      }
      out.push(...this.#out.map((said) => `  ${said}`))
    }
    return out.join("\n")
  }

  #say(line: string): void {
    this.#out.push(line)
  }

  #do([verb = "", ...words]: ReadonlyArray<string>): void {
    const group = this.#group
    const [a = "", b = ""] = words
    switch (verb) {
      case "group":
        this.#begin(words)
        return
      case "join":
        group.add(a, nobody)
        return
      case "log":
        this.#log(a, words.slice(1))
        return
      case "term": {
        const { disk } = group.member(a)
        disk.hardState = { term: Number(b), vote: words[2] ?? "" }
        group.restart(a)
        return
      }
      case "expire":
        group.expire(a)
        return
      case "tick":
        for (let i = 0; i < Number(b || 1); i++) {
          group.core(a).tick()
          group.collect(a)
        }
        return
      case "time":
        group.tick(Number(a))
        return
      case "settle":
        group.settle()
        return
      case "collect":
        group.collect(a)
        return
      case "send":
      case "lose":
      case "again": {
        const mine = group.mail.filter(({ from, to }) => from === a && (to === b || b === "*"))
        if (mine.length === 0) throw new Error(`nothing is on its way from ${a} to ${b}`)
        if (verb !== "again") group.mail = group.mail.filter((message) => !mine.includes(message))
        if (verb === "lose") return
        for (const message of mine) group.deliver(message)
        group.collect(b)
        return
      }
      case "hold":
        group.member(a).held = true
        return
      case "release":
        group.member(a).held = false
        return
      case "persist":
        if (!group.persistOne(a)) throw new Error(`${a} writes nothing`)
        group.collect(a)
        return
      case "propose":
        this.#say(answer(group.core(a).propose(words.slice(1).map(command))))
        group.collect(a)
        return
      case "read":
        this.#say(group.core(a).readIndex(Number(b)) ? "asked" : "not leader")
        group.collect(a)
        return
      case "transfer":
        this.#say(answer(group.core(a).transferLeadership(b === "" ? undefined : b)))
        group.collect(a)
        return
      case "change": {
        const tags = { add: "AddLearner", promote: "Promote", demote: "Demote", remove: "Remove" } as const
        const _tag = tags[b as keyof typeof tags]
        const change = { _tag, node: words[2] ?? "" }
        this.#say(answer(group.core(a).proposeConfig(change, words[3] === "force")))
        group.collect(a)
        return
      }
      case "gone":
        group.core(a).hintPeerGone(b)
        group.collect(a)
        return
      case "lost":
        group.core(a).unreachable(b)
        group.collect(a)
        return
      case "cut":
        group.cut(a, b)
        return
      case "isolate":
        group.isolate(a)
        return
      case "heal":
        group.heal()
        return
      case "crash":
        group.crash(a)
        return
      case "restart":
        group.restart(a)
        return
      case "compact":
        group.compact(a)
        return
      case "show":
        for (const id of a === "" ? group.members.keys() : [a]) this.#say(this.#standing(id))
        return
      case "is":
        this.#check(a, words.slice(1))
        return
      default:
        throw new Error(`nobody knows how to ${verb}`)
    }
  }

  #begin(words: ReadonlyArray<string>): void {
    const at = words.indexOf("with")
    const ids = at < 0 ? words : words.slice(0, at)
    const settings: Partial<Record<keyof CoreSettings, number>> = {}
    for (const word of at < 0 ? [] : words.slice(at + 1)) {
      const [name = "", value] = word.split("=")
      if (!(name in coreSettings)) throw new Error(`there is no setting ${name}`)
      settings[name as keyof CoreSettings] = Number(value)
    }
    const group = new Group(ids, { settings })
    this.#group = group
    group.onMessage = (message) => this.#say(messageText(message))
    group.onDropped = (message) => this.#say(`lost: ${messageText(message)}`)
    group.onReady = (id, { persist, committed, reads, lostReads, soft }) => {
      if (soft !== undefined) {
        const leader = soft.leader === undefined ? "" : ` of ${soft.leader}`
        const apart = soft.quarantined === undefined ? "" : ` quarantined: ${soft.quarantined}`
        const removed = soft.removed ? " removed" : ""
        this.#say(
          `${id} is ${soft.role}${soft.role === "leader" ? "" : leader} in term ${soft.term}${apart}${removed}`
        )
      }
      if (persist !== undefined) {
        const { hardState, truncateFrom, entries, snapshot } = persist
        const parts = [
          hardState && `term ${hardState.term} vote ${hardState.vote || "none"}`,
          truncateFrom !== undefined && `cut from ${truncateFrom}`,
          entries.length > 0 && `[${entries.map(entryText).join(", ")}]`,
          snapshot && `snapshot ${snapshot.index}/${snapshot.term}`
        ]
        this.#say(`${id} writes ${parts.filter(Boolean).join(", ")}`)
      }
      if (committed.length > 0) this.#say(`${id} applies ${committed.map(entryText).join(", ")}`)
      for (const read of reads) this.#say(`${id} may read ${read.id} at ${read.index}`)
      for (const read of lostReads) this.#say(`${id} loses read ${read}`)
    }
  }

  #log(id: NodeId, words: ReadonlyArray<string>): void {
    const entries = words.map((word, i): Entry => {
      const [term = "", text = ""] = word.split(".")
      const index = i + 1
      if (text === "noop") return { index, term: Number(term), type: entryType.noop, data: new Uint8Array(0) }
      if (!text.startsWith("config:"))
        return { index, term: Number(term), type: entryType.command, data: dataOf(text) }
      const data = encodeConfiguration(founding(...text.slice(7).split("+")))
      return { index, term: Number(term), type: entryType.config, data }
    })
    const disk: Disk = {
      hardState: { term: entries.at(-1)?.term ?? 0, vote: "" },
      snapshot: undefined,
      entries,
      commitHint: 0
    }
    Object.assign(this.#group.member(id).disk, disk)
    this.#group.restart(id)
  }

  #standing(id: NodeId): string {
    const { core, down } = this.#group.member(id)
    if (down) return `${id} is down`
    const { role, term, commit, lastIndex, lastTerm, durable, peers, configuration } = core.status()
    const list = peers.map((peer) => `${peer.id} ${peer.state} has ${peer.match} next ${peer.next}`)
    const learners =
      configuration.learners.length === 0 ? "" : ` learners ${configuration.learners.join(" ")}`
    return (
      `${id} ${role} term ${term} log ${lastIndex}/${lastTerm} durable ${durable} commit ${commit}` +
      ` voters ${configuration.voters.join(" ")}${learners}${list.length === 0 ? "" : `; ${list.join("; ")}`}`
    )
  }

  #check(id: NodeId, facts: ReadonlyArray<string>): void {
    const member = this.#group.member(id)
    const status = member.core.status()
    const known: Record<string, string> = {
      term: `${status.term}`,
      commit: `${status.commit}`,
      applied: `${member.applied}`,
      last: `${status.lastIndex}`,
      durable: `${status.durable}`,
      leader: status.leader ?? "none",
      vote: status.vote || "none",
      voters: status.configuration.voters.join("+"),
      learners: status.configuration.learners.join("+"),
      reads: member.reads.map((read) => `${read.id}@${read.index}`).join("+"),
      lost: member.lostReads.join("+"),
      first: `${status.firstIndex}`
    }
    for (const [peer, { state }] of status.peers.map((at) => [at.id, at] as const))
      known[`peer.${peer}`] = state
    for (const fact of facts) {
      const [name = "", wanted] = fact.split("=")
      if (wanted === undefined) {
        const is =
          { quarantined: status.quarantined !== undefined, removed: status.removed }[name] ??
          status.role === name
        if (!is) throw new Error(`${id} is not ${name} but ${status.role}`)
      } else if (known[name] !== wanted) throw new Error(`${id} has ${name} ${known[name]}, not ${wanted}`)
    }
  }
}

const answer = (result: {
  readonly _tag: string
  readonly index?: number
  readonly to?: string
  readonly reason?: string
}): string =>
  [result._tag, result.index, result.to, result.reason].filter((part) => part !== undefined).join(" ")
