/** Another address of a server, whose connections a test can hold up and cut off. */
import { createServer, type Socket, connect as tcpConnect } from "node:net"

export interface Gate {
  readonly url: string
  /** `host:port`. */
  readonly at: string
  /** How many connections go through it now. */
  readonly open: () => number
  /** From now on what a client says goes no further from the first piece on that holds these words. */
  readonly holdFrom: (words: string) => void
  /** How many connections are being held up. */
  readonly held: () => number
  /** What was held up goes on, and nothing is held up any more. */
  readonly release: () => void
  /** Ends the connections of now. */
  readonly cut: () => void
  /** Ends them, and takes no more. */
  readonly close: () => Promise<void>
}

interface Passage {
  readonly client: Socket
  readonly server: Socket
  held: Array<string | Uint8Array> | undefined
}

export async function openGate(port: number): Promise<Gate> {
  const passages = new Set<Passage>()
  let words: string | undefined
  const listener = createServer((client) => {
    const passage: Passage = { client, server: tcpConnect(port, "127.0.0.1"), held: undefined }
    passages.add(passage)
    const { server } = passage
    client.on("data", (piece) => {
      if (words !== undefined && piece.includes(words)) passage.held ??= []
      if (passage.held) passage.held.push(piece)
      else server.write(piece)
    })
    server.on("data", (piece) => client.write(piece))
    const end = (): void => {
      passages.delete(passage)
      client.destroy()
      server.destroy()
    }
    for (const socket of [client, server]) socket.on("error", end).on("close", end)
  })
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve))
  const at = `127.0.0.1:${(listener.address() as { readonly port: number }).port}`
  const cut = (): void => {
    for (const { client } of [...passages]) client.destroy()
  }
  return {
    url: `nats://${at}`,
    at,
    open: () => passages.size,
    holdFrom: (from) => {
      words = from
    },
    held: () => [...passages].filter(({ held }) => held).length,
    release: () => {
      words = undefined
      for (const passage of passages) {
        for (const piece of passage.held ?? []) passage.server.write(piece)
        passage.held = undefined
      }
    },
    cut,
    close: () => {
      const closed = new Promise<void>((resolve) => listener.close(() => resolve()))
      cut()
      return closed
    }
  }
}
