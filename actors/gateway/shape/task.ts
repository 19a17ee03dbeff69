/**
 * Tasks as the Engine shows them: joined again with the spec version that they carry out and the networks that
 * they are attached to.
 */
import { genericResource, ports, taskTemplate } from "#actors/gateway/shape/layouts.ts"
import { attachedNetworkText } from "#actors/gateway/shape/network.ts"
import { always, filled, type Layout, list, object, part, render } from "#actors/gateway/shape/render.ts"
import { whyKept } from "#actors/ledger/lost.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Network, Task } from "#actors/model/objects.ts"
import type { TaskSpec } from "#actors/model/spec.ts"

const status: Layout = [
  ["Timestamp", filled],
  ["State", filled],
  ["Message", filled],
  ["Err", filled],
  [
    "ContainerStatus",
    object([
      ["ContainerID", always("")],
      ["PID", always(0)],
      ["ExitCode", always(0)]
    ])
  ],
  ["PortStatus", part([["Ports", ports]])]
]

const rest: Layout = [
  ["GenericResources", list(genericResource)],
  ["JobIteration", object([["Index", filled]])]
]

// A task's spec does not repeat its runtime, a service's does.
const templateOfTask: Layout = taskTemplate.filter(([name]) => name !== "Runtime")

const specTexts = new WeakMap<TaskSpec, string>()

function specText(spec: TaskSpec | undefined): string {
  // Its service is gone. The docker CLI looks into the container's spec without asking whether there is one.
  if (spec === undefined) return '{"ContainerSpec":{}}'
  const known = specTexts.get(spec)
  if (known !== undefined) return known
  const text = JSON.stringify(render(templateOfTask, spec, "out"))
  specTexts.set(spec, text)
  return text
}

/** A task's text is good as long as its networks are the ones that it was made with. */
interface Kept {
  readonly networks: ReadonlyArray<Network | undefined>
  readonly text: string
}
const texts = new WeakMap<Task, Kept>()

/** The task's JSON. */
export function taskText(reader: LedgerReader, task: Task): string {
  const kept = whyKept(reader, task)
  if (kept !== undefined)
    return write(reader, { ...task, Status: { ...task.Status, Err: kept } }, networksOf(reader, task))
  const attachments = task.Attachments ?? []
  const known = texts.get(task)
  const stands = known?.networks.every((network, at) => {
    const id = attachments[at]?.NetworkID
    return id !== undefined && reader.get("network", id) === network
  })
  if (known !== undefined && stands === true) return known.text
  const networks = networksOf(reader, task)
  const text = write(reader, task, networks)
  texts.set(task, { networks, text })
  return text
}

const networksOf = (reader: LedgerReader, { Attachments = [] }: Task) =>
  Attachments.map(({ NetworkID }) => reader.get("network", NetworkID))

function write(reader: LedgerReader, task: Task, networks: ReadonlyArray<Network | undefined>): string {
  const meta = JSON.stringify({
    ID: task.ID,
    Version: task.Version,
    CreatedAt: task.CreatedAt,
    UpdatedAt: task.UpdatedAt,
    Labels: {}
  }).slice(1, -1)
  const place = JSON.stringify({
    ServiceID: task.ServiceID,
    ...(task.Slot === undefined || task.Slot === 0 ? {} : { Slot: task.Slot }),
    ...(task.NodeID === undefined ? {} : { NodeID: task.NodeID }),
    Status: render(status, task.Status, "out"),
    DesiredState: task.DesiredState
  }).slice(1, -1)
  const attached = (task.Attachments ?? []).flatMap(({ Addresses }, at) => {
    const network = networks[at]
    if (network === undefined) return []
    return `{"Network":${attachedNetworkText(network)},"Addresses":${JSON.stringify(Addresses)}}`
  })
  const volumes = task.Volumes === undefined ? "null" : JSON.stringify(task.Volumes)
  const more = JSON.stringify(
    render(rest, { GenericResources: task.AssignedGenericResources, JobIteration: task.JobIteration }, "out")
  ).slice(1, -1)
  return [
    `{${meta},"Spec":${specText(reader.taskSpec(task.ServiceID, task.SpecVersion))},${place}`,
    attached.length === 0 ? "" : `,"NetworksAttachments":[${attached.join(",")}]`,
    more === "" ? "" : `,${more}`,
    `,"Volumes":${volumes}}`
  ].join("")
}
