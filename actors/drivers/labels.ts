/** Labels by which what runs on a machine is known to be ours. Swarm's own where it has one, so that tools see tasks. */

/** On a container: the task's id. */
export const taskLabel = "com.docker.swarm.task.id"
/** On a container: `web.1.<task id>`. */
export const taskNameLabel = "com.docker.swarm.task.name"
/** On a container: there, and empty, on every task. */
export const isTaskLabel = "com.docker.swarm.task"
export const serviceLabel = "com.docker.swarm.service.id"
export const serviceNameLabel = "com.docker.swarm.service.name"

/** On a container: the ids of the cluster volumes that it uses, with commas between. */
export const volumesLabel = "io.troupe.volumes"

/** On a container or network: the node's id. */
export const nodeLabel = "com.docker.swarm.node.id"
/** On a container or network: the cluster's id; two clusters may share an Engine. */
export const clusterLabel = "io.troupe.cluster"

/** On a container or network: where the node's data is (`machine/mounts.ts`), by which a later life finds what it had. */
export const homeLabel = "io.troupe.home"

/** On an Engine's bridge network: the id of the overlay that it carries here. */
export const networkLabel = "io.troupe.network.id"

/** On a network that is an Engine's own, `host`, `bridge` or `none`. */
export const predefinedLabel = "com.docker.swarm.predefined"
