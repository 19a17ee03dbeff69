/**
 * Everything that can be written to the log. Entries live longer than messages: each has a type and a version,
 * a new meaning is a new version, and `test/wire/v1/` keeps an example of every one that was ever written.
 *
 * An unknown type or version halts the member; it is never skipped.
 */
import { Schema } from "effect"
import {
  Access,
  Attached,
  Attachment,
  Cluster,
  Config,
  Endpoint,
  Gateway,
  Network,
  Node,
  NodeDescription,
  NodeStatus,
  PlacementReason,
  publishStates,
  Secret,
  Service,
  Task,
  TaskStatus,
  ToldAlert,
  taskStates,
  UpdateStatus,
  Volume,
  VolumeAttachment,
  VolumeInfo
} from "#actors/model/objects.ts"
import { GenericResource, NodeSpec, ServiceSpec, SwarmSpec } from "#actors/model/spec.ts"
import { Authority, Incarnation, Roots } from "#actors/model/trust.ts"

const text = Schema.String
const whole = Schema.Int
const optional = Schema.optionalKey

const command = <const Type extends string, const Fields extends Schema.Struct.Fields>(
  type: Type,
  fields: Fields
) => Schema.Struct({ type: Schema.Literal(type), v: Schema.Literal(1), ...fields })

/** New objects carry no version or times: `apply` gives them the entry's index and the leader's time. */
const fresh = <Fields extends Schema.Struct.Fields>(fields: Fields) => {
  const { Version: _version, CreatedAt: _created, UpdatedAt: _updated, ...rest } = fields
  return Schema.Struct(rest as Omit<Fields, "Version" | "CreatedAt" | "UpdatedAt">)
}

/** What opens a manager's door is said by `node.access` alone. */
const { Access: _access, ...newNode } = Node.fields
const freshNode = fresh(newNode)

const labels = Schema.Record(text, text)

/**
 * One change of one task. Fields that are absent stay. `version`, where given, must be the task's newest, or
 * this change alone is skipped and named in the result; the rest of the command goes on.
 */
export const TaskPatch = Schema.Struct({
  id: text,
  version: optional(whole),
  NodeID: optional(text),
  Status: optional(TaskStatus),
  DesiredState: optional(Schema.Literals(taskStates)),
  Attachments: optional(Schema.Array(Attachment)),
  AssignedGenericResources: optional(Schema.Array(GenericResource)),
  /** Skipped as a whole where one of them is not to be had; published to the task's node from now on. */
  Volumes: optional(Schema.Array(VolumeAttachment)),
  Reason: optional(PlacementReason)
})
export type TaskPatch = typeof TaskPatch.Type

export const NewTask = fresh(Task.fields)
export type NewTask = typeof NewTask.Type

export const Command = Schema.Union([
  command("cluster.create", { cluster: fresh(Cluster.fields), node: freshNode }),
  command("cluster.update", {
    version: whole,
    spec: SwarmSpec,
    tokens: optional(Schema.Struct({ Worker: text, Manager: text })),
    /** Empty for none from now on. */
    unlockKey: optional(text)
  }),
  /** Gives roots to a cluster that was founded without any, and tokens that name them. */
  command("cluster.trust", { roots: Roots, tokens: Cluster.fields.JoinTokens }),

  /**
   * One survivor goes on alone, in another incarnation of the Raft group: `node` is what it says of itself. Whoever was
   * a manager beside it is one no longer, and is taken to be down until it comes back as a new node.
   */
  command("cluster.refound", {
    incarnation: Incarnation,
    node: freshNode,
    /** For routes between nats-servers from now on; those left behind do not know it. */
    routePassword: text,
    level: whole
  }),

  /**
   * The settings, and with them another root: from now on `rotation` signs. Without it, the one that is trusted goes on
   * signing, and whatever rotation was under way has ended.
   */
  command("cluster.rotate", {
    version: whole,
    spec: SwarmSpec,
    tokens: optional(Cluster.fields.JoinTokens),
    unlockKey: optional(text),
    rotation: optional(Authority)
  }),
  /** Every node has a certificate of the root under way, whose `certificate` this is: it alone is trusted from now on. */
  command("cluster.rotated", { certificate: text, tokens: Cluster.fields.JoinTokens }),
  /** What nats-servers show each other, the `number`th of its kind, and the nodes that were or will be told it. */
  command("cluster.routes", { number: whole, password: text, holders: Schema.Array(text) }),

  /**
   * Nodes carry encrypted overlays by keys of `epoch` from now on, which follows the one before; `asked` is what the label
   * that asks for a change says.
   */
  command("cluster.keys", { epoch: whole, asked: optional(text) }),

  /** People are told that these alerts fire, and that those ended. */
  command("cluster.alerts", {
    firing: Schema.Array(ToldAlert),
    ended: Schema.Array(Schema.Struct({ condition: text, id: text }))
  }),

  /** All managers can do what `level` means: entries of that level may be written from now on. */
  command("cluster.raise", { level: whole }),
  /**
   * The proposer's state as of the entry at `index`, or the last command before it, in 16 hexadecimal digits. Changes
   * nothing; a member halts whose state then was another than more than half of the managers tell.
   */
  command("ledger.digest", { index: whole, digest: text }),

  /** Creates the node or refreshes what is told of it; keeps all else, and the spec that people gave it. */
  command("node.register", { node: freshNode }),
  command("node.update", { id: text, version: whole, spec: NodeSpec }),
  /** What the leader sees of nodes; does not count as a change of their version unless the state changes. */
  command("node.observe", {
    nodes: Schema.Array(
      Schema.Struct({
        id: text,
        status: optional(NodeStatus),
        description: optional(NodeDescription),
        lastSeen: optional(text),
        leader: optional(Schema.Boolean),
        /** Of a manager, as the leader sees its log. */
        reachability: optional(Schema.Literals(["unknown", "unreachable", "reachable"])),
        /** It is no member of the Raft group any more. */
        retired: optional(Schema.Literal(true))
      })
    )
  }),
  /** The addresses that nodes themselves have on overlays from now on; does not count as a change of their version. */
  command("node.gateways", {
    nodes: Schema.Array(Schema.Struct({ id: text, gateways: Schema.Array(Gateway) }))
  }),
  /** A container that people attach to a network has these addresses from now on; refused where one of them is taken. */
  command("node.attach", { id: text, attached: Attached }),
  /** Containers that have left their networks, by what `ID` they were attached as. */
  command("node.detach", { id: text, attached: Schema.Array(text) }),
  /** What the HTTP door of a manager goes by, from now on; does not count as a change of its version. */
  command("node.access", { id: text, access: Access }),
  command("node.remove", { id: text, force: Schema.Boolean }),

  command("service.create", { service: fresh(Service.fields) }),
  command("service.update", {
    id: text,
    version: whole,
    spec: ServiceSpec,
    registryAuth: optional(text),
    /** `previous-spec`: the credentials of the previous spec rather than the present one's. */
    registryAuthFrom: optional(Schema.Literals(["spec", "previous-spec"])),
    /** Restores the previous spec instead of `spec`. */
    rollback: optional(Schema.Literal("previous"))
  }),
  /** As many tasks as a load asks for: no other spec, so that an update under way and what a rollback brings back stay. */
  command("service.scale", { id: text, version: whole, replicas: whole }),
  /** The orchestrator's word on a rolling update; `rollback` swaps in the previous spec in the same entry. */
  command("service.progress", {
    id: text,
    version: whole,
    status: UpdateStatus,
    rollback: optional(Schema.Boolean)
  }),
  command("service.allot", {
    services: Schema.Array(Schema.Struct({ id: text, version: optional(whole), endpoint: Endpoint }))
  }),
  command("service.remove", { id: text }),

  command("tasks.change", {
    create: Schema.Array(NewTask),
    update: Schema.Array(TaskPatch),
    remove: Schema.Array(text)
  }),
  /** What a node reports; a status that would go back is ignored, a task of another node is skipped. */
  command("tasks.report", {
    node: text,
    statuses: Schema.Array(Schema.Struct({ id: text, status: TaskStatus }))
  }),

  command("network.create", { network: fresh(Network.fields) }),
  command("network.allot", {
    networks: Schema.Array(Schema.Struct({ id: text, ipam: Network.fields.IPAM, vni: whole }))
  }),
  command("network.remove", { id: text }),

  command("secret.create", { secret: fresh(Secret.fields) }),
  command("secret.update", { id: text, version: whole, name: text, labels }),
  command("secret.remove", { id: text }),
  command("config.create", { config: fresh(Config.fields) }),
  command("config.update", { id: text, version: whole, name: text, labels }),
  command("config.remove", { id: text }),

  command("volume.create", { volume: fresh(Volume.fields) }),
  /** Nothing else of a volume can change. */
  command("volume.update", {
    id: text,
    version: whole,
    availability: Volume.fields.Spec.fields.Availability
  }),
  /**
   * How far volumes have come, as the leader and the nodes see it. Each step is taken only from the one before it; others
   * are skipped, and their volumes named in the result.
   */
  command("volume.observe", {
    volumes: Schema.Array(
      Schema.Struct({
        id: text,
        /** The plugin has made it. */
        info: optional(VolumeInfo),
        nodes: optional(
          Schema.Array(
            Schema.Struct({
              node: text,
              state: Schema.Literals([...publishStates, "unpublished"]),
              context: optional(labels),
              plugin: optional(text)
            })
          )
        ),
        /** The plugin has deleted it. */
        deleted: optional(Schema.Literal(true))
      })
    )
  }),
  /** Refused while it is published, unless by `force`, which forgets it and asks no plugin. */
  command("volume.remove", { id: text, force: Schema.Boolean })
])
export type Command = typeof Command.Type

/** One entry of the log: a command, and who asked, why, and when by the leader's clock. */
export const Entry = Schema.Struct({
  command: Command,
  proposer: text,
  boot: text,
  seq: whole,
  /** A certificate's or token's name, or `local`, or the actor that decided. */
  who: text,
  /** The message that led to it. */
  why: text,
  /** The leader's clock, milliseconds since the epoch. */
  time: whole
})
export type Entry = typeof Entry.Type

/** What applying a command yields: the ids it created or touched, and the task changes that were skipped. */
export interface Applied {
  readonly index: number
  readonly id?: string
  readonly warnings?: ReadonlyArray<string>
  readonly skipped?: ReadonlyArray<string>
}
