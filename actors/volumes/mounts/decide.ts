/**
 * What follows from each message to the mounts of a node: every message first changes what is known, and then whatever is
 * missing is mounted and whatever is too much unmounted. Order and repetition do not matter.
 */
import { backOff } from "#actors/node/back-off.ts"
import type { AssignedVolume } from "#actors/node/protocol.ts"
import type { SessionMessage } from "#actors/node/session/protocol.ts"
import type { TaskMessage } from "#actors/task/protocol.ts"
import type { MountPoint, MountsAction, MountsMessage } from "#actors/volumes/mounts/protocol.ts"
import { type CommonAction, later, tell } from "#runtime/actions.ts"
import { address } from "#runtime/address.ts"
import type { Moment, Step } from "#runtime/behaviour.ts"

interface Mount {
  /** As it was when it was mounted: what is unmounted may be known to the leader no longer. */
  readonly volume: AssignedVolume
  readonly at: "mounting" | "mounted" | "unmounting"
  readonly path?: string
  /** Refusals in a row, and whether it waits after one. */
  readonly attempt: number
  readonly resting: boolean
  readonly trouble?: string
}

/** Belongs to this actor alone; the maps change in place. */
export interface Mounts {
  readonly volumes: Map<string, AssignedVolume>
  readonly mounts: Map<string, Mount>
  /** Volumes by the tasks that wait for them. */
  readonly needs: Map<string, ReadonlyArray<string>>
  /** The leader waits to hear that these are not mounted, and they are not. */
  readonly released: Set<string>
}

type Action = MountsAction | CommonAction

const patience = { firstMs: 250, mostMs: 15_000 }
const tellEveryMs = 2_000

export function start(_props: unknown, { self }: Moment): Step<Mounts, MountsAction> {
  const mounts: Mounts = { volumes: new Map(), mounts: new Map(), needs: new Map(), released: new Set() }
  return { state: mounts, actions: [toSession(self.home, { _tag: "MountsAwake" })] }
}

export function decide(state: Mounts, message: MountsMessage, moment: Moment): Step<Mounts, MountsAction> {
  const actions: Array<Action> = []
  take(state, message, moment, actions)
  advance(state, moment, actions)
  return { state, actions }
}

function take(state: Mounts, message: MountsMessage, { fresh, self }: Moment, actions: Array<Action>): void {
  const { volumes, mounts, needs, released } = state
  switch (message._tag) {
    case "Keep":
      volumes.clear()
      for (const volume of message.volumes) volumes.set(volume.id, volume)
      for (const id of [...released]) if (volumes.get(id)?.leaving !== true) released.delete(id)
      return
    case "Need":
      needs.set(message.taskId, message.volumes)
      for (const id of message.volumes) {
        const trouble = mounts.get(id)?.trouble
        if (trouble !== undefined) actions.push(toTask(self.home, message.taskId, notMounted(trouble)))
      }
      return
    case "MountDone": {
      const mount = mounts.get(message.id)
      if (mount?.at === "mounting") mounts.set(message.id, mounted(mount.volume, message.path))
      return
    }
    case "UnmountDone":
      mounts.delete(message.id)
      if (volumes.get(message.id)?.leaving === true) {
        released.add(message.id)
        actions.push(...tellReleased(state, self.home))
      }
      return
    case "Refused": {
      const mount = mounts.get(message.id)
      if (mount === undefined || mount.resting) return
      const attempt = mount.attempt + 1
      mounts.set(message.id, { ...mount, attempt, resting: true, trouble: message.message })
      const again: MountsMessage = { _tag: "TryAgain", id: message.id }
      actions.push(later(`try ${message.id}`, backOff(attempt, patience, fresh), again))
      for (const [taskId, ids] of needs) {
        if (ids.includes(message.id)) actions.push(toTask(self.home, taskId, notMounted(message.message)))
      }
      return
    }
    case "TryAgain": {
      const mount = mounts.get(message.id)
      if (mount !== undefined) mounts.set(message.id, { ...mount, resting: false })
      // What it was about to do may not be wanted any more.
      if (mount?.resting === true) retry(state, message.id, actions)
      return
    }
    case "TellAgain":
      actions.push(...tellReleased(state, self.home))
  }
}

const mounted = (volume: AssignedVolume, path: string): Mount => ({
  volume,
  at: "mounted",
  path,
  attempt: 0,
  resting: false
})

const isWanted = ({ volumes }: Mounts, id: string): boolean => {
  const volume = volumes.get(id)
  return volume !== undefined && volume.leaving !== true
}

/** Asks once more for what was refused; the other way round where that is wanted by now. */
function retry(state: Mounts, id: string, actions: Array<Action>): void {
  const mount = state.mounts.get(id)
  if (mount === undefined) return
  if (isWanted(state, id)) mountNow(state, state.volumes.get(id) as AssignedVolume, mount.attempt, actions)
  else unmountNow(state, mount.volume, mount.attempt, actions)
}

function mountNow({ mounts }: Mounts, volume: AssignedVolume, attempt: number, actions: Array<Action>): void {
  const trouble = mounts.get(volume.id)?.trouble
  mounts.set(volume.id, {
    volume,
    at: "mounting",
    attempt,
    resting: false,
    ...(trouble === undefined ? {} : { trouble })
  })
  actions.push({ _tag: "Mount", volume })
}

function unmountNow({ mounts }: Mounts, volume: AssignedVolume, attempt: number, actions: Array<Action>) {
  mounts.set(volume.id, { volume, at: "unmounting", attempt, resting: false })
  actions.push({ _tag: "Unmount", volume })
}

function advance(state: Mounts, { self }: Moment, actions: Array<Action>): void {
  const { volumes, mounts, needs, released } = state
  for (const [id, volume] of volumes) {
    if (mounts.has(id)) continue
    if (volume.leaving !== true) mountNow(state, volume, 0, actions)
    // It may be mounted since an earlier life.
    else if (!released.has(id)) unmountNow(state, volume, 0, actions)
  }
  for (const [id, { at, volume }] of mounts) {
    if (at === "mounted" && !isWanted(state, id)) unmountNow(state, volume, 0, actions)
  }
  for (const [taskId, ids] of needs) {
    const points: Record<string, MountPoint> = {}
    for (const id of ids) {
      const mount = mounts.get(id)
      if (mount?.at !== "mounted" || mount.path === undefined) continue
      points[id] = { path: mount.path, block: mount.volume.accessMode.BlockVolume !== undefined }
    }
    if (ids.some((id) => points[id] === undefined)) continue
    needs.delete(taskId)
    actions.push(toTask(self.home, taskId, { _tag: "Mounted", points }))
  }
}

/** Until the leader has it down, which shows in what it says of the volume. */
function tellReleased({ released }: Mounts, home: string): ReadonlyArray<CommonAction> {
  if (released.size === 0) return []
  return [
    toSession(home, { _tag: "LetGo", volumes: [...released] }),
    later("tell", tellEveryMs, { _tag: "TellAgain" } satisfies MountsMessage)
  ]
}

const notMounted = (message: string): TaskMessage => ({ _tag: "NotMounted", message })

const toTask = (home: string, id: string, message: TaskMessage): CommonAction =>
  tell(address(home, "task", id), message)

const toSession = (home: string, message: SessionMessage): CommonAction =>
  tell(address(home, "session", "main"), message)

/** One line for the tree. */
export function summary({ mounts }: Mounts): string {
  const here = [...mounts.values()]
  const trouble = here.find((mount) => mount.trouble !== undefined)?.trouble
  const count = `${here.filter(({ at }) => at === "mounted").length} of ${here.length} volumes mounted`
  return trouble === undefined ? count : `${count}: ${trouble}`
}
