/** One conversation with a data-plane process over its control socket. */
import net from "node:net"
import { type Answer, type Ask, eachLine, type Response } from "#actors/drivers/data-plane/protocol.ts"

export interface Control {
  /** Rejects when the process does not answer in time, or the conversation ends before it does. */
  readonly ask: (ask: Ask, withinMs: number) => Promise<Answer>
  /** Completes when the conversation has ended, which is when the process has. */
  readonly closed: Promise<void>
  readonly close: () => void
}

/** Opens a conversation; `undefined` when nobody listens at `path`. */
export function openControl(path: string): Promise<Control | undefined> {
  return new Promise((resolve) => {
    const socket = net.connect({ path })
    socket.once("error", () => resolve(undefined))
    socket.once("connect", () => resolve(converse(socket)))
  })
}

function converse(socket: net.Socket): Control {
  const pending = new Map<number, (answer: Answer | Error) => void>()
  let last = 0
  const closed = new Promise<void>((resolve) => {
    socket.once("close", () => {
      for (const settle of pending.values()) settle(new Error("the data plane ended before it answered"))
      pending.clear()
      resolve()
    })
  })
  socket.on("error", () => {})
  socket.setEncoding("utf8")
  const take = eachLine((line) => {
    const { id, ...answer } = JSON.parse(line) as Response
    pending.get(id)?.(answer)
  })
  socket.on("data", (chunk) => take(String(chunk)))
  // Talking to the data plane is no reason for a process to stay.
  socket.unref()

  const ask = (question: Ask, withinMs: number): Promise<Answer> =>
    new Promise((resolve, reject) => {
      if (socket.destroyed) return reject(new Error("the data plane is gone"))
      last += 1
      const id = last
      const settle = (answer: Answer | Error): void => {
        clearTimeout(timer)
        pending.delete(id)
        if (answer instanceof Error) reject(answer)
        else if ("error" in answer) reject(new Error(answer.error))
        else resolve(answer)
      }
      const timer = setTimeout(() => settle(new Error(`no answer within ${withinMs} ms`)), withinMs)
      pending.set(id, settle)
      socket.write(`${JSON.stringify({ id, ...question })}\n`)
    })
  return { ask, closed, close: () => socket.destroy() }
}
