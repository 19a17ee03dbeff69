/** Cluster volumes as the Engine shows them: a volume like others, with what only the cluster knows inside. */
import {
  always,
  filled,
  type Layout,
  list,
  object,
  part,
  present,
  render
} from "#actors/gateway/shape/render.ts"
import type { Volume } from "#actors/model/objects.ts"

const topology: Layout = [["Segments", filled]]

export const clusterVolumeSpec: Layout = [
  ["Group", filled],
  [
    "AccessMode",
    part([
      ["Scope", filled],
      ["Sharing", filled],
      [
        "MountVolume",
        object([
          ["FsType", filled],
          ["MountFlags", filled]
        ])
      ],
      ["BlockVolume", object([])]
    ])
  ],
  [
    "AccessibilityRequirements",
    object([
      ["Requisite", list(topology)],
      ["Preferred", list(topology)]
    ])
  ],
  [
    "CapacityRange",
    object([
      ["RequiredBytes", always(0)],
      ["LimitBytes", always(0)]
    ])
  ],
  [
    "Secrets",
    list([
      ["Key", filled],
      ["Secret", filled]
    ])
  ],
  ["Availability", filled]
]

const publishStatus: Layout = [
  ["NodeID", filled],
  ["State", filled],
  ["PublishContext", filled]
]

const info: Layout = [
  ["CapacityBytes", filled],
  ["VolumeContext", filled],
  ["VolumeID", filled],
  ["AccessibleTopology", list(topology)]
]

const clusterVolume: Layout = [
  ["ID", always("")],
  ["Version", present],
  ["CreatedAt", filled],
  ["UpdatedAt", filled],
  ["Spec", part(clusterVolumeSpec)],
  ["PublishStatus", list(publishStatus)],
  ["Info", object(info)]
]

export const volumeResource = (volume: Volume) => ({
  ClusterVolume: render(clusterVolume, volume, "out"),
  CreatedAt: volume.CreatedAt,
  Driver: volume.Spec.Driver.Name ?? "",
  Labels: volume.Spec.Labels,
  Mountpoint: "",
  Name: volume.Spec.Name,
  Options: volume.Spec.Driver.Options ?? {},
  Scope: "global"
})
