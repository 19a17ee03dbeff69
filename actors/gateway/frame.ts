/** Log lines as the docker CLI reads them: prefixed with what was asked for, each in a frame of its own. */
import { Buffer } from "node:buffer"
import { nodeLabel, serviceLabel, taskLabel } from "#actors/drivers/labels.ts"

export type FrameStream = "stdout" | "stderr" | "system"

/** Engine API, "Stream format"; 3 is what the daemon itself has to say, which the CLI reports as an error. */
const streamNumbers: Readonly<Record<FrameStream, number>> = { stdout: 1, stderr: 2, system: 3 }

/** Eight bytes before each line: the stream, three zeros, the length big-endian. The CLI relies on one line per frame. */
export function frame(stream: FrameStream, line: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(8 + line.length)
  framed.writeUInt32BE(streamNumbers[stream] * 2 ** 24, 0)
  framed.writeUInt32BE(line.length, 4)
  framed.set(line, 8)
  return framed
}

export interface LineContext {
  readonly nodeId: string
  readonly serviceId: string
  readonly taskId: string
}

/**
 * `com.docker.swarm.node.id=…,com.docker.swarm.service.id=…,com.docker.swarm.task.id=…` and the container's own
 * details, sorted by key as the Engine does. The CLI refuses lines without these three.
 */
export function detailsOf(context: LineContext, own: string): string {
  const all = [
    `${nodeLabel}=${context.nodeId}`,
    `${serviceLabel}=${context.serviceId}`,
    `${taskLabel}=${context.taskId}`,
    ...own.split(",").filter((detail) => detail !== "")
  ]
  const key = (detail: string): string => detail.slice(0, detail.indexOf("="))
  return all.sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0)).join(",")
}
