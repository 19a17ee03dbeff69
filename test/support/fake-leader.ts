/**
 * A leader for tests of the node's side: it lets a node in, answers its heartbeats, writes down what it reports and
 * assigns what the test says, over the same kind of bus as the real one.
 */
import type { Schema } from "effect"
import { nothingNew } from "#actors/dispatcher/parts.ts"
import type { NodeDescription, TaskStatus } from "#actors/model/objects.ts"
import { type AssignedTask, type FromLeader, FromNode, type ToNodeAnswer } from "#actors/node/protocol.ts"
import { reply } from "#runtime/actions.ts"
import { actor } from "#runtime/actor.ts"
import { address } from "#runtime/address.ts"
import { type Step, stay } from "#runtime/behaviour.ts"
import type { Host } from "#runtime/host.ts"
import { type LocalSystem, makeSystem } from "#runtime/live.ts"
import { many, permanent, supervisor } from "#runtime/supervisor.ts"
import type { TransportService } from "#runtime/transport.ts"

export type Assign = Extract<FromLeader, { _tag: "Assign" }>

export class FakeLeader {
  readonly nodeId: string
  readonly #system: LocalSystem
  readonly #stop: () => void
  /** Every status that the node ever reported, in order. */
  readonly reports: Array<{ readonly id: string; readonly status: TaskStatus }> = []
  readonly registrations: Array<{ readonly boot: string; readonly description: NodeDescription }> = []
  /** What each task last said. */
  readonly statuses = new Map<string, TaskStatus>()
  resyncs = 0
  beats = 0
  session = ""
  applied = 0
  /** Answers nothing while it is false. */
  awake = true
  #seq = 0

  constructor(options: { host: Host; transport: TransportService; cluster: string; nodeId: string }) {
    const { host, transport, cluster, nodeId } = options
    this.nodeId = nodeId
    this.#system = makeSystem({ cluster, nodeId: "fakeleader", host, transport })
    const claim = this.#system.claim("leader")
    const definition = actor<undefined, null, FromNode, never>({
      kind: "node",
      accepts: FromNode as Schema.Codec<FromNode, unknown>,
      start: (): Step<null, never> => stay(null),
      decide: (_state, message, moment) => {
        const answer = this.awake ? this.#hear(message, () => moment.fresh.id()) : undefined
        return answer && moment.asker ? stay(null, reply(moment.asker, answer)) : stay(null)
      }
    })
    const tree = this.#system.startTree(
      supervisor({
        name: "fake leader",
        children: [permanent(definition, { id: nodeId }), many(definition)]
      }),
      "leader"
    )
    this.#stop = () => {
      tree.stop()
      claim.release()
      this.#system.close()
    }
  }

  #hear(message: FromNode, freshId: () => string): ToNodeAnswer | undefined {
    switch (message._tag) {
      case "Register":
        this.registrations.push({ boot: message.boot, description: message.description })
        this.session = freshId()
        this.#seq = 0
        this.applied = 0
        return { _tag: "Registered", session: this.session, heartbeatMs: 200 }
      case "Heartbeat":
        if (message.session !== this.session) return { _tag: "SessionInvalid" }
        this.beats++
        this.applied = message.applied
        return { _tag: "Beat", heartbeatMs: 200 }
      case "Report":
        if (message.session !== this.session) return { _tag: "SessionInvalid" }
        for (const { id, status } of message.statuses) {
          this.reports.push({ id, status })
          this.statuses.set(id, status)
        }
        return { _tag: "Noted" }
      case "Resync":
        this.resyncs++
        return undefined
      case "Describe":
        return undefined
    }
  }

  state(id: string): string | undefined {
    return this.statuses.get(id)?.State
  }

  states(id: string): ReadonlyArray<string> {
    return this.reports.filter((report) => report.id === id).map(({ status }) => status.State)
  }

  /** Sends the next assignment of the session. */
  assign(changes: Partial<Assign> & { readonly tasks?: ReadonlyArray<AssignedTask> }): void {
    const message: Assign = {
      _tag: "Assign",
      session: this.session,
      seq: ++this.#seq,
      ...nothingNew,
      ...changes
    }
    this.#system.tell(address(this.nodeId, "session", "main"), message)
  }

  /** Knows no session any more, as a leader that has just been elected. */
  forget(): void {
    this.session = ""
  }

  close(): void {
    this.#stop()
  }
}
