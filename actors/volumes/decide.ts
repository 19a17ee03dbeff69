/**
 * The next steps of every volume, from what the ledger says: one call at a time for each, again until it succeeds. A leader
 * that takes over asks plugins what its predecessor may have asked before, and they say that it is done.
 */
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { idle, mayWrite, propose, settle, type Writing, writing } from "#actors/ledger/writer.ts"
import type { Volume } from "#actors/model/objects.ts"
import { backOff } from "#actors/node/back-off.ts"
import type {
  Observation,
  VolumeCall,
  VolumesAction,
  VolumesMessage,
  VolumesProps
} from "#actors/volumes/protocol.ts"
import { uses } from "#actors/volumes/uses.ts"
import { type CommonAction, cancel, later } from "#runtime/actions.ts"
import { type Moment, type Step, stay as stayWith } from "#runtime/behaviour.ts"

interface Trouble {
  readonly id: string
  readonly attempt: number
  /** Milliseconds since the epoch. */
  readonly until: number
  readonly message: string
}

/** Belongs to this actor alone; what it holds changes in place. */
export interface VolumesState {
  readonly ledger: LedgerReader
  readonly writing: Writing
  /** Volumes for which a plugin is at work, and those of which something is being written. */
  readonly busy: Map<string, "called" | "writing">
  /** Steps that plugins have taken, to be written. */
  readonly done: Array<Observation>
  /** By call: what was refused is asked for again later, while others go on. */
  readonly troubles: Map<string, Trouble>
}

type VolumesStep = Step<VolumesState, VolumesAction>
const stay = stayWith<VolumesState, VolumesAction>

/** After a plugin said no, or was not there. */
const patience = { firstMs: 500, mostMs: 30_000 }
const look: VolumesMessage = { _tag: "Look" }

export function start({ ledger }: VolumesProps, moment: Moment): VolumesStep {
  return lookNow({ ledger, writing: idle, busy: new Map(), done: [], troubles: new Map() }, moment)
}

export function decide(state: VolumesState, message: VolumesMessage, moment: Moment): VolumesStep {
  const { busy, done, troubles } = state
  switch (message._tag) {
    case "Look":
      return lookNow(state, moment)
    case "Called":
      troubles.delete(keyOf(message.call))
      done.push(message.observation)
      return lookNow(state, moment)
    case "NotCalled": {
      const { call, message: why } = message
      const attempt = (troubles.get(keyOf(call))?.attempt ?? 0) + 1
      const until = moment.now + backOff(attempt, patience, moment.fresh)
      troubles.set(keyOf(call), { id: call.id, attempt, until, message: why })
      busy.delete(call.id)
      return lookNow(state, moment)
    }
    case "Proposed": {
      const { writing: settled, afterMs } = settle(state.writing, message.outcome)
      // What was not written is found to be missing, and asked for again.
      for (const [id, what] of busy) if (what === "writing") busy.delete(id)
      const next = { ...state, writing: settled }
      if (afterMs === undefined) return stay(next, cancel("look"))
      return afterMs === 0 ? lookNow(next, moment) : stay(next, later("look", afterMs, look))
    }
  }
}

const keyOf = (call: VolumeCall): string => `${call.step} ${call.id} ${"node" in call ? call.node : ""}`

function lookNow(state: VolumesState, moment: Moment): VolumesStep {
  const { ledger, busy, done, troubles } = state
  if (state.writing.halted) return stay(state)
  for (const [key, { id }] of troubles) if (ledger.get("volume", id) === undefined) troubles.delete(key)
  const calls: Array<VolumesAction | CommonAction> = []
  const news: Array<Observation> = []
  let wakeAt = Number.POSITIVE_INFINITY
  for (const volume of ledger.all("volume")) {
    if (busy.has(volume.ID)) continue
    const { observations, wanted } = stepsOf(ledger, volume)
    news.push(...observations)
    if (observations.length > 0) continue
    for (const call of wanted) {
      const until = troubles.get(keyOf(call))?.until ?? 0
      if (until > moment.now) {
        wakeAt = Math.min(wakeAt, until)
        continue
      }
      busy.set(volume.ID, "called")
      calls.push({ _tag: "Call", ...call })
      break
    }
  }
  if (wakeAt < Number.POSITIVE_INFINITY) calls.push(later("look", wakeAt - moment.now, look))
  if (done.length + news.length === 0 || !mayWrite(state.writing)) return stay(state, ...calls)
  const volumes = [...done.splice(0), ...news]
  for (const { id } of volumes) busy.set(id, "writing")
  const command = { type: "volume.observe", v: 1, volumes } as const
  return stay(
    { ...state, writing: writing(state.writing) },
    ...calls,
    propose(`${volumes.length} steps of volumes`, [command])
  )
}

interface Steps {
  /** What needs no plugin. */
  readonly observations: ReadonlyArray<Observation>
  /** What does; one after the other. */
  readonly wanted: ReadonlyArray<VolumeCall>
}

function stepsOf(ledger: LedgerReader, volume: Volume): Steps {
  const { ID: id, Info, PendingDelete, PublishStatus } = volume
  if (Info === undefined) {
    return PendingDelete === true
      ? { observations: [{ id, deleted: true }], wanted: [] }
      : { observations: [], wanted: [{ step: "create", id }] }
  }
  if (PublishStatus.length === 0) {
    return { observations: [], wanted: PendingDelete === true ? [{ step: "delete", id }] : [] }
  }
  const known = ledger.view(uses)
  const nodes: Array<NonNullable<Observation["nodes"]>[number]> = []
  const wanted: Array<VolumeCall> = []
  for (const { NodeID: node, State: state, PluginNode } of PublishStatus) {
    const description = ledger.get("node", node)?.Description
    switch (state) {
      case "pending-publish": {
        const plugin = description?.CSIInfo?.find(({ PluginName }) => PluginName === volume.Spec.Driver.Name)
        if (!known.isUsedOn(id, node)) nodes.push({ node, state: "pending-node-unpublish" })
        else if (plugin !== undefined) wanted.push({ step: "publish", id, node, plugin: plugin.NodeID })
        break
      }
      case "published":
        if (!known.isUsedOn(id, node)) nodes.push({ node, state: "pending-node-unpublish" })
        break
      case "pending-node-unpublish":
        // Nobody is there any more to say that it let go.
        if (description === undefined) nodes.push({ node, state: "pending-controller-unpublish" })
        break
      case "pending-controller-unpublish":
        wanted.push({
          step: "unpublish",
          id,
          node,
          ...(PluginNode === undefined ? {} : { plugin: PluginNode })
        })
        break
    }
  }
  return { observations: nodes.length === 0 ? [] : [{ id, nodes }], wanted }
}

/** One line for the tree. */
export function summary({ ledger, troubles }: VolumesState): string {
  const [trouble] = troubles.values()
  const count = `${ledger.count("volume")} volumes`
  return trouble === undefined ? count : `${count}, ${troubles.size} in trouble: ${trouble.message}`
}
