/** Labels by which what runs on a machine is known to be ours. */

/** On a container: the task's id. Swarm's own, so that existing tools see tasks. */
export const taskLabel = "com.docker.swarm.task.id"

/** On an Engine's bridge network: the id of the overlay that it carries here. */
export const networkLabel = "io.troupe.network.id"
