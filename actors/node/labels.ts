/** Labels by which a container is known to be a task's of this node and cluster. */

/** The node's id; Swarm's own label. */
export const nodeLabel = "com.docker.swarm.node.id"
/** The cluster's id; two clusters may share an Engine. */
export const clusterLabel = "io.troupe.cluster"
