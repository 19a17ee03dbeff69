/** Labels by which a container is known to be a task's, and whose. Swarm's where Swarm has one. */
export const taskLabel = "com.docker.swarm.task.id"
export const nodeLabel = "com.docker.swarm.node.id"
export const clusterLabel = "io.troupe.cluster"
