/**
 * What a node and the leader say to each other.
 *
 * A node speaks to `leader/node/<its own id>`, so that a subject says who is speaking; the leader speaks to
 * `<node>/session/main`. Assignments are goals with a sequence number: a gap is mended by asking for all of them.
 */
import { Schema } from "effect"
import { Membership, Peer, roles } from "#actors/authority/protocol.ts"
import { Refusal } from "#actors/model/errors.ts"
import {
  Attachment,
  NodeDescription,
  TaskStatus,
  taskStates,
  VolumeAttachment
} from "#actors/model/objects.ts"
import { GenericResource, PortConfig, TaskSpec, VolumeSpec } from "#actors/model/spec.ts"
import { ManagerPorts } from "#actors/model/trust.ts"
import { OverlayChange } from "#actors/network/table.ts"
import { tagged as message } from "#runtime/tagged.ts"

const text = Schema.String
const whole = Schema.Int
const optional = Schema.optionalKey

/** What a node says that leaves its cluster: its tasks end with it. */
export const hasLeft = "node left the swarm"

/** What the leader's node actor accepts from the node. */
export const FromNode = Schema.Union([
  /** Asked; answered by `Registered`, or `Unavailable`. Starts a new session and ends the one before. */
  message("Register", { boot: text, description: NodeDescription, addr: text }),
  /** Asked; answered by `Beat` or `SessionInvalid`. `applied` is the last assignment taken. */
  message("Heartbeat", { session: text, applied: whole }),
  /** Told: what the machine says of itself has changed. */
  message("Describe", { session: text, description: NodeDescription }),
  /** Asked; answered by `Noted` once the statuses are in the ledger. */
  message("Report", {
    session: text,
    statuses: Schema.Array(Schema.Struct({ id: text, status: TaskStatus }))
  }),
  /**
   * Told: what runs this node's tasks does not answer; ends the session. Nothing more is heard of the node until it does.
   */
  message("Unable", { session: text, reason: text }),
  /** Asked; answered by `Noted` once it is in the ledger. The node has left its cluster, and nothing of its tasks is there. */
  message("Ended", {}),
  /**
   * Asked; answered by `Noted` once it is in the ledger. The node's process ends and will be begun again, within
   * `forMs` or it is missed; its tasks go on meanwhile.
   */
  message("Away", { forMs: whole }),
  /** Told, once a second: what its tasks of services that follow their load use: cores, bytes, and new connections a second. */
  message("Used", {
    session: text,
    tasks: Schema.Array(
      Schema.Struct({
        id: text,
        cpu: Schema.Number,
        memory: Schema.Number,
        connections: optional(Schema.Number)
      })
    )
  }),
  /**
   * Told, once a second: what its HTTP entrance was asked of services whose rows say what they await. Requests a second,
   * those under way or waiting, and answers a second by how long they took, in the buckets of `latencyBounds`.
   */
  message("Requests", {
    session: text,
    services: Schema.Array(
      Schema.Struct({
        id: text,
        rps: Schema.Number,
        inflight: whole,
        took: Schema.Array(Schema.Number)
      })
    )
  }),
  /** Told at once, and again while it is so: somebody waits at this node for the first task of these services. */
  message("Waiting", { session: text, services: Schema.Array(text) }),
  /** Told, where an assignment asks for it: routes, names and published ports are as that one says. */
  message("Routed", { session: text, seq: whole }),
  /** Told: a gap was seen, or the node has nothing; answered by a complete `Assign`. */
  message("Resync", { session: text }),
  /**
   * Asked; answered by `Renewed` or `NotRenewed`. The node's role is another one than its certificate says: it asks
   * for what makes it a member in that role. `csr` is PEM, `ports` are where it would listen as a manager.
   */
  message("Renew", { csr: text, addr: text, ports: ManagerPorts }),
  /**
   * Asked; answered by `Renewed` or `NotRenewed`. Another certificate for the same role: the one before ends, or is of
   * an issuer that the leader wants no longer, or does not name where a manager is reached, which is `addr`. `csr` is PEM.
   */
  message("Certify", { csr: text, role: Schema.Literals(roles), addr: optional(text) }),
  /**
   * Asked; answered by `AttachedAt` or `NotAttached`. A container that is no task is to join `network`, which may be a
   * name; it is known by `id` from now on.
   */
  message("Attach", {
    id: text,
    network: text,
    name: text,
    aliases: optional(Schema.Array(text)),
    ipv4: optional(text)
  }),
  /** Told, again and again: these have left their networks. */
  message("Detach", { attached: Schema.Array(text) }),
  /** Told, again and again while the leader wants it: these volumes are mounted here no longer. */
  message("Unmounted", { session: text, volumes: Schema.Array(text) }),
  /** Asked; answered by `Managers`. */
  message("AskManagers", {})
])
export type FromNode = typeof FromNode.Type

/** What the cluster takes the node for; `raftId` is a manager's name in the Raft group, absent until it has one. */
const standing = { role: optional(Schema.Literals(roles)), raftId: optional(text) }

export const Registered = message("Registered", { session: text, heartbeatMs: whole, ...standing })
/**
 * `issuer` is whom the node shall have its certificate from, by the public key (DER in base64), and `root` what it shall
 * trust (PEM); `keyEpoch` is the epoch of which it shall make a key for encrypted overlays; absent where all is well.
 */
export const Beat = message("Beat", {
  heartbeatMs: whole,
  ...standing,
  issuer: optional(text),
  root: optional(text),
  keyEpoch: optional(whole),
  /** A number that changes with where the managers are reached: a worker then asks for them. */
  managers: optional(whole),
  /** The node that shall have a copy of this one's logs; absent while there is none. */
  copyTo: optional(text)
})
/** The leader does not know this session; register again. */
export const SessionInvalid = message("SessionInvalid", {})
/** Asked too often: to be asked again later. */
export const Unavailable = message("Unavailable", { reason: text })
export const Noted = message("Noted", {})
export const Renewed = message("Renewed", { membership: Membership })
export const NotRenewed = message("NotRenewed", { reason: text })
/** Addresses have no prefix length, and are this container's until it is said to have left. */
export const AttachedAt = message("AttachedAt", { networkId: text, addresses: Schema.Array(text) })
export const NotAttached = message("NotAttached", { code: Refusal.fields.code, reason: text })
/** The managers that a node may connect to. */
export const Managers = message("Managers", { managers: Schema.Array(Peer) })
export const ToNodeAnswer = Schema.Union([
  Registered,
  Beat,
  SessionInvalid,
  Unavailable,
  Noted,
  Renewed,
  NotRenewed,
  AttachedAt,
  NotAttached,
  Managers
])
export type ToNodeAnswer = typeof ToNodeAnswer.Type

/** A task as its node sees it: everything needed to run it, joined from task, service and networks. */
export const AssignedTask = Schema.Struct({
  id: text,
  serviceId: text,
  serviceName: text,
  /** `web.1.<task id>`; the container's name. */
  name: text,
  slot: optional(whole),
  spec: TaskSpec,
  /** Ports in host mode that this task opens itself. */
  hostPorts: optional(Schema.Array(PortConfig)),
  attachments: Schema.Array(Attachment),
  desired: Schema.Literals(taskStates),
  /** The state that the leader last knew, so that a node that restarted does not report it again. */
  state: Schema.Literals(taskStates),
  registryAuth: optional(text),
  /** By id, why a secret that its driver was asked for is not among those given. */
  withheld: optional(Schema.Record(text, text)),
  /** The service's own labels, for placeholders. */
  labels: optional(Schema.Record(text, text)),
  /** What the scheduler gave this task of what the node declares. */
  genericResources: optional(Schema.Array(GenericResource)),
  /** The cluster volumes that it gave it. */
  volumes: optional(Schema.Array(VolumeAttachment))
})
export type AssignedTask = typeof AssignedTask.Type

export const AssignedNetwork = Schema.Struct({
  id: text,
  name: text,
  subnets: Schema.Array(Schema.Struct({ subnet: text, gateway: text })),
  internal: Schema.Boolean,
  attachable: Schema.Boolean,
  ipv6: Schema.Boolean,
  labels: Schema.Record(text, text),
  options: Schema.Record(text, text)
})
export type AssignedNetwork = typeof AssignedNetwork.Type

/**
 * `data` is base64. Sent only to nodes that run a task which needs it, or whose HTTP entrance shows the certificate in it.
 * `template` is the driver that fills in what stands in `data`.
 */
export const AssignedFile = Schema.Struct({ id: text, name: text, data: text, template: optional(text) })
export type AssignedFile = typeof AssignedFile.Type

/** A cluster volume that has been published to this node. */
export const AssignedVolume = Schema.Struct({
  id: text,
  /** Its plugin, and the plugin's own name for it. */
  driver: text,
  volumeId: text,
  accessMode: VolumeSpec.fields.AccessMode,
  context: Schema.Record(text, text),
  publishContext: Schema.Record(text, text),
  /** What the plugin asks for, by key. */
  secrets: Schema.Record(text, text),
  /** No task here may use it any more: the leader waits to hear that it is not mounted. */
  leaving: optional(Schema.Literal(true))
})
export type AssignedVolume = typeof AssignedVolume.Type

export const AssignedPort = Schema.Struct({
  serviceId: text,
  serviceName: text,
  protocol: Schema.Literals(["tcp", "udp"]),
  publishedPort: whole,
  targetPort: whole,
  /** Subnets: open at those of the node's addresses alone. */
  only: optional(Schema.Array(text)),
  backends: Schema.Array(Schema.Struct({ taskId: text, nodeId: text, address: text }))
})
export type AssignedPort = typeof AssignedPort.Type

/** What the node's session actor accepts from the leader. */
export const FromLeader = Schema.Union([
  message("Assign", {
    session: text,
    /** From 1, without gaps within a session. */
    seq: whole,
    /** All there is, rather than what changed. */
    complete: Schema.Boolean,
    tasks: Schema.Array(AssignedTask),
    /** Tasks the node must end and forget. */
    removed: Schema.Array(text),
    networks: Schema.Array(AssignedNetwork),
    secrets: Schema.Array(AssignedFile),
    configs: Schema.Array(AssignedFile),
    /** Volumes that this node has, or is to give back. */
    volumes: optional(Schema.Array(AssignedVolume)),
    /** Networks, secrets, configs and volumes that no task here needs any more. */
    dropped: Schema.Array(text),
    /** All published ports of the cluster, whenever any changed; absent otherwise. */
    ports: optional(Schema.Array(AssignedPort)),
    /** What is new of the overlays that the node takes part in; when `complete`, all of them. */
    overlays: optional(Schema.Array(OverlayChange)),
    /** Overlays in which it takes no part any more. */
    overlaysGone: optional(Schema.Array(text)),
    /** The node says `Routed` once it has carried out ports and overlays. */
    confirm: optional(Schema.Literal(true))
  })
])
export type FromLeader = typeof FromLeader.Type
