/** A dispatcher on the leader's desk: what it hears, and what it tells nodes. */
import { type DispatcherState, decide, start } from "#actors/dispatcher/decide.ts"
import type { DispatcherMessage } from "#actors/dispatcher/protocol.ts"
import type { Propose } from "#actors/ledger/writer.ts"
import type { FromLeader } from "#actors/node/protocol.ts"
import { address } from "#runtime/address.ts"
import { Fresh } from "#runtime/ids.ts"
import type { Stage } from "#test/support/stage.ts"

export type Assign = Extract<FromLeader, { _tag: "Assign" }>

export class Desk {
  readonly stage: Stage
  state: DispatcherState
  readonly told: Array<readonly [string, Assign]> = []
  readonly expired: Array<string> = []
  readonly asked: Array<Propose> = []
  readonly lost: Array<string> = []

  constructor(stage: Stage) {
    this.stage = stage
    this.state = start({ ledger: stage.book.tables, nodeId: "manager" }, this.#moment()).state
    stage.book.changes()
  }

  #moment() {
    return {
      now: this.stage.now,
      fresh: Fresh.from(1),
      self: address("leader", "dispatcher", "main")
    }
  }

  say(message: DispatcherMessage): this {
    const step = decide(this.state, message, this.#moment())
    this.state = step.state
    for (const action of step.actions) {
      if (action._tag === "Propose") this.asked.push(action)
      if (action._tag !== "Tell") continue
      if (action.to.kind === "session") this.told.push([action.to.home, action.message as Assign])
      else if ((action.message as { _tag: string })._tag === "Lost") this.lost.push(action.to.id)
      else this.expired.push(action.to.id)
    }
    return this
  }

  open(nodeId: string, session = `${nodeId}-session`): this {
    return this.say({ _tag: "SessionOpened", nodeId, session })
  }

  /** What was told until now is of no interest. */
  forget(): this {
    this.told.length = 0
    return this
  }

  /** What changed in the ledger since the last time is heard of, and sent. */
  hear(): this {
    const { changes } = this.stage.book.changes()
    return this.say({ _tag: "Changed", changes }).say({ _tag: "Flush" })
  }
}

/** Two tasks of `web`, which answer port 8080 of every node. */
export const published = (stage: Stage): Stage => {
  stage.book.network("ingress-id", "ingress", { Ingress: true })
  return stage.create("web", {
    Mode: { Replicated: { Replicas: 2 } },
    EndpointSpec: { Ports: [{ Protocol: "tcp", TargetPort: 80, PublishedPort: 8080 }] }
  })
}
