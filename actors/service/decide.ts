/**
 * One service's turn: looks at everything the ledger says of it and asks for the changes that bring it nearer to
 * what its spec says. Scaling, restarting, updating and rolling back are one decision, so they cannot disagree.
 */
import type { Command } from "#actors/ledger/commands.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { idle, mayWrite, propose, settle, type Writing, writing } from "#actors/ledger/writer.ts"
import type { Service } from "#actors/model/objects.ts"
import { modeOf } from "#actors/model/service-facts.ts"
import { isBefore } from "#actors/model/task-state.ts"
import { toMs } from "#actors/model/time.ts"
import { isUnderWay } from "#actors/model/update-status.ts"
import { cover } from "#actors/service/cover.ts"
import { finish } from "#actors/service/finish.ts"
import { look, type ServiceAction, type ServiceMessage, type ServiceProps } from "#actors/service/protocol.ts"
import { reconcile } from "#actors/service/reconcile.ts"
import type { Draft, Sighting, View } from "#actors/service/slot.ts"
import { cancel, later } from "#runtime/actions.ts"
import { end, type Moment, type Step, stay as stayWith } from "#runtime/behaviour.ts"

export interface ServiceState {
  readonly ledger: LedgerReader
  readonly id: string
  readonly writing: Writing
  /** Tasks of the update under way that were seen to run; emptied when it is over. */
  readonly sightings: ReadonlyMap<string, Sighting>
  readonly watchingSince: number
  /** Tasks at the last look, and when that was: large services are looked at in longer strides. */
  readonly tasks: number
  readonly lookedAt: number
  /** What this machine's clock showed at the last look, and what time it was then; absent where nothing waits. */
  readonly clock?: { readonly wall: number; readonly time: number } | undefined
}

type ServiceStep = Step<ServiceState, ServiceAction>
const stay = stayWith<ServiceState, ServiceAction>

/** More tasks than this, and news of single tasks is gathered for a while before the next look. */
const largeService = 512
const strideMs = 25

export function start(props: ServiceProps, moment: Moment): ServiceStep {
  return lookNow(
    {
      ledger: props.ledger,
      id: moment.self.id,
      writing: idle,
      sightings: new Map(),
      watchingSince: Math.max(moment.now, props.ledger.time),
      tasks: 0,
      lookedAt: 0
    },
    moment
  )
}

export function decide(state: ServiceState, message: ServiceMessage, moment: Moment): ServiceStep {
  switch (message._tag) {
    case "Look": {
      if (!mayWrite(state.writing)) return stay(state)
      const rest = state.lookedAt + strideMs - moment.now
      if (state.tasks > largeService && rest > 0) return stay(state, later("look", rest, look))
      return lookNow(state, moment)
    }
    case "Proposed": {
      const { writing: settled, afterMs } = settle(state.writing, message.outcome)
      const next = { ...state, writing: settled }
      if (afterMs === undefined) return stay(next, cancel("look"))
      return afterMs === 0 ? lookNow(next, moment) : stay(next, later("look", afterMs, look))
    }
  }
}

function lookNow(state: ServiceState, moment: Moment): ServiceStep {
  const service = state.ledger.get("service", state.id)
  if (service === undefined) return leave(state)
  const now = timeOf(state, moment.now)
  const written = Math.max(moment.now, state.ledger.time)
  const sightings = sight(state, service, written > moment.now ? now : undefined)
  const seen: ServiceState = {
    ...state,
    sightings,
    tasks: countTasks(state),
    lookedAt: moment.now
  }
  const view: View = {
    ledger: state.ledger,
    service,
    now,
    written,
    fresh: moment.fresh,
    sightings,
    watchingSince: state.watchingSince
  }
  const draft = changesOf(view)
  const commands = commandsOf(service, draft)
  if (commands.length > 0) {
    return stay({ ...seen, writing: writing(seen.writing) }, propose(reasonOf(draft), commands))
  }
  if (draft.wakeAt === undefined) return stay({ ...seen, clock: undefined }, cancel("look"))
  const clock = { wall: moment.now, time: now }
  return stay({ ...seen, clock }, later("look", Math.max(1, draft.wakeAt - now), look))
}

/**
 * What waits goes by the log's time, as what it waits for was written down, and that does not go back: a clock that is
 * set back, or that of another leader which is behind, makes no wait shorter, and none more than twice as long.
 */
function timeOf({ ledger, clock }: ServiceState, wall: number): number {
  const gone = clock === undefined || wall >= clock.time ? wall : clock.time + Math.max(0, wall - clock.wall)
  return Math.max(gone, ledger.time)
}

function changesOf(view: View): Draft {
  switch (modeOf(view.service.Spec)) {
    case "replicated":
      return reconcile(view)
    case "global":
      return cover(view)
    case "replicated-job":
    case "global-job":
      return finish(view)
  }
}

/** The word on the update comes first: it names the version of the service that everything else was decided for. */
function commandsOf(service: Service, draft: Draft): ReadonlyArray<Command> {
  const commands: Array<Command> = []
  if (draft.progress !== undefined) {
    const { status, rollback } = draft.progress
    commands.push({
      type: "service.progress",
      v: 1,
      id: service.ID,
      version: service.Version.Index,
      status,
      ...(rollback === undefined ? {} : { rollback })
    })
  }
  if (!draft.isEmpty) {
    const { create, update, remove } = draft
    commands.push({ type: "tasks.change", v: 1, create, update, remove })
  }
  return commands
}

function reasonOf(draft: Draft): string {
  if (draft.progress?.status.Message !== undefined) return draft.progress.status.Message
  return `${draft.create.length} new, ${draft.update.length} changed`
}

/** The service is gone: its tasks go too, and the actor with them. */
function leave(state: ServiceState): ServiceStep {
  const update = []
  for (const task of state.ledger.tasksOfService(state.id)) {
    if (isBefore(task.DesiredState, "remove")) update.push({ id: task.ID, DesiredState: "remove" as const })
  }
  if (update.length === 0) return end(state)
  const command: Command = { type: "tasks.change", v: 1, create: [], update, remove: [] }
  return stay({ ...state, writing: writing(state.writing) }, propose("the service was removed", [command]))
}

function countTasks(state: ServiceState): number {
  let tasks = 0
  for (const _ of state.ledger.tasksOfService(state.id)) tasks += 1
  return tasks
}

/**
 * Notes which tasks of the update under way run, because a task that has failed does not say how long it ran. `now` where
 * the log's time stands still, because the clock was set back: then it does not say when.
 */
function sight(
  state: ServiceState,
  service: Service,
  now: number | undefined
): ReadonlyMap<string, Sighting> {
  if (!isUnderWay(service.UpdateStatus)) return state.sightings.size === 0 ? state.sightings : new Map()
  let sightings = state.sightings
  for (const task of state.ledger.tasksOfService(state.id)) {
    const isNews =
      task.SpecVersion === service.SpecVersion && task.Status.State === "running" && !sightings.has(task.ID)
    if (!isNews) continue
    if (sightings === state.sightings) sightings = new Map(sightings)
    ;(sightings as Map<string, Sighting>).set(task.ID, {
      at: now ?? toMs(task.UpdatedAt),
      stamp: task.Status.Timestamp
    })
  }
  return sightings
}

/** One line for the tree. */
export function summary(state: ServiceState): string {
  const service = state.ledger.get("service", state.id)
  if (service === undefined) return "removed"
  const update = service.UpdateStatus === undefined ? "" : `, ${service.UpdateStatus.State}`
  return `${service.Spec.Name ?? state.id}: ${modeOf(service.Spec)}, ${state.tasks} tasks${update}`
}
