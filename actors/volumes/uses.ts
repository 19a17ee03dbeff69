/**
 * Who uses which cluster volume where, and which volume a task may have on which node. A view of the ledger; while it
 * places tasks, the scheduler takes from here too, and gives all of it back after.
 */
import type { Change, LedgerReader } from "#actors/ledger/reader.ts"
import type { Node, Task, Volume, VolumeAttachment } from "#actors/model/objects.ts"
import type { MountSpec, Topology } from "#actors/model/spec.ts"
import { isLive } from "#actors/model/task-state.ts"
import { groupOf, isUsable } from "#actors/model/volume-facts.ts"

interface Use {
  readonly nodeId: string
  readonly readOnly: boolean
}

const nobody: ReadonlyMap<string, Use> = new Map()
const none: ReadonlySet<string> = new Set()

export class Uses {
  readonly #ledger: LedgerReader
  /** By volume, by task and target. */
  readonly #uses = new Map<string, Map<string, Use>>()
  readonly #groups = new Map<string, Set<string>>()
  readonly #onNode = new Map<string, Set<string>>()

  constructor(ledger: LedgerReader) {
    this.#ledger = ledger
    for (const volume of ledger.all("volume")) this.#index(volume, true)
    // Most clusters have no volume, and may have a million tasks.
    if (ledger.count("volume") > 0) for (const task of ledger.all("task")) this.#count(task, true)
  }

  changed(change: Change): void {
    if (change.kind === "volume") {
      if (change.before !== undefined) this.#index(change.before, false)
      if (change.after !== undefined) this.#index(change.after, true)
    } else if (change.kind === "task") {
      if (change.before?.Volumes !== undefined) this.#count(change.before, false)
      if (change.after?.Volumes !== undefined) this.#count(change.after, true)
    }
  }

  /** Volumes with a status of that node. */
  publishedOn(nodeId: string): ReadonlySet<string> {
    return this.#onNode.get(nodeId) ?? none
  }

  isUsedOn(volumeId: string, nodeId: string): boolean {
    for (const use of this.#of(volumeId).values()) if (use.nodeId === nodeId) return true
    return false
  }

  /** A volume for each mount of a task on that node, or nothing where one of them has none. */
  choose(node: Node, mounts: ReadonlyArray<MountSpec>): ReadonlyArray<VolumeAttachment> | undefined {
    const chosen: Array<VolumeAttachment> = []
    const taken: Array<MountSpec> = []
    for (const mount of mounts) {
      const volume = this.#find(node, mount)
      if (volume === undefined) break
      chosen.push({ ID: volume.ID, Source: mount.Source ?? "", Target: mount.Target ?? "" })
      // What one mount has, the next one of the same task may not.
      this.take("", node.ID, chosen.slice(-1), [mount])
      taken.push(mount)
    }
    this.giveBack("", chosen)
    return chosen.length === mounts.length ? chosen : undefined
  }

  take(
    taskId: string,
    nodeId: string,
    volumes: ReadonlyArray<VolumeAttachment>,
    mounts: ReadonlyArray<MountSpec>
  ): void {
    for (const { ID, Source, Target } of volumes) {
      const mount = mounts.find((one) => one.Source === Source && one.Target === Target)
      const uses = this.#uses.get(ID) ?? new Map<string, Use>()
      this.#uses.set(ID, uses.set(`${taskId}:${Target}`, { nodeId, readOnly: mount?.ReadOnly === true }))
    }
  }

  giveBack(taskId: string, volumes: ReadonlyArray<VolumeAttachment>): void {
    for (const { ID, Target } of volumes) {
      const uses = this.#uses.get(ID)
      uses?.delete(`${taskId}:${Target}`)
      if (uses?.size === 0) this.#uses.delete(ID)
    }
  }

  #of(volumeId: string): ReadonlyMap<string, Use> {
    return this.#uses.get(volumeId) ?? nobody
  }

  /** Of a group the volume that is on the node already, else the one with fewest users. */
  #find(node: Node, { Source: source = "", ReadOnly: readOnly = false }: MountSpec): Volume | undefined {
    const group = groupOf(source)
    if (group === undefined) {
      const named = this.#ledger.byName("volume", source)
      return named !== undefined && this.#admits(named, node, readOnly) ? named : undefined
    }
    let best: { readonly volume: Volume; readonly rank: string } | undefined
    for (const id of this.#groups.get(group) ?? none) {
      const volume = this.#ledger.get("volume", id)
      if (volume === undefined || !this.#admits(volume, node, readOnly)) continue
      const away = this.publishedOn(node.ID).has(id) ? 0 : 1
      const rank = `${away} ${String(this.#of(id).size).padStart(9, "0")} ${id}`
      if (best === undefined || rank < best.rank) best = { volume, rank }
    }
    return best?.volume
  }

  #admits(volume: Volume, node: Node, readOnly: boolean): boolean {
    if (!isUsable(volume, node.ID)) return false
    const { Scope, Sharing } = volume.Spec.AccessMode
    const uses = [...this.#of(volume.ID).values()]
    if (Scope === "single" && uses.some(({ nodeId }) => nodeId !== node.ID)) return false
    // Its plugin would refuse a second node for as long as the first one has it; and a task that was given up may run there.
    if (
      (Scope === "single" || Sharing === "none") &&
      volume.PublishStatus.some(({ NodeID }) => NodeID !== node.ID)
    )
      return false
    if (Sharing === "none" && uses.length > 0) return false
    if (Sharing === "readonly" && !readOnly) return false
    if (Sharing === "onewriter" && !readOnly && uses.some((use) => !use.readOnly)) return false
    return this.#reaches(volume, node)
  }

  /** Whether the node has the volume's plugin, room for one more, and lies where the volume is. */
  #reaches(volume: Volume, node: Node): boolean {
    const driver = volume.Spec.Driver.Name
    const plugin = node.Description?.CSIInfo?.find(({ PluginName }) => PluginName === driver)
    if (plugin === undefined) return false
    const present = this.publishedOn(node.ID)
    const most = plugin.MaxVolumesPerNode ?? 0
    if (most > 0 && !present.has(volume.ID)) {
      let held = 0
      for (const id of present) if (this.#ledger.get("volume", id)?.Spec.Driver.Name === driver) held += 1
      if (held >= most) return false
    }
    return lies(plugin.AccessibleTopology, volume.Info?.AccessibleTopology ?? [])
  }

  #index(volume: Volume, isNew: boolean): void {
    mark(this.#groups, volume.Spec.Group, volume.ID, isNew)
    for (const { NodeID } of volume.PublishStatus) mark(this.#onNode, NodeID, volume.ID, isNew)
  }

  #count(task: Task, isNew: boolean): void {
    if (task.Volumes === undefined || task.NodeID === undefined || !isLive(task.Status.State)) return
    const mounts = this.#ledger.taskSpec(task.ServiceID, task.SpecVersion)?.ContainerSpec?.Mounts ?? []
    if (isNew) this.take(task.ID, task.NodeID, task.Volumes, mounts)
    else this.giveBack(task.ID, task.Volumes)
  }
}

function mark(sets: Map<string, Set<string>>, key: string, id: string, isNew: boolean): void {
  const set = sets.get(key) ?? new Set()
  if (isNew) sets.set(key, set.add(id))
  else if (set.delete(id) && set.size === 0) sets.delete(key)
}

/** Whether a node is in one of the places; one that does not say where it is is everywhere, as in Swarm. */
function lies(node: Topology | undefined, places: ReadonlyArray<Topology>): boolean {
  const own = node?.Segments
  if (own === undefined || places.length === 0) return true
  return places.some(({ Segments = {} }) =>
    Object.entries(Segments).every(([domain, segment]) => own[domain] === segment)
  )
}

/** The uses of a ledger, for `LedgerReader.view`. */
export const uses = (ledger: LedgerReader): Uses => new Uses(ledger)
