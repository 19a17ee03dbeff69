/** A client of another process that writes over NATS, as bare as etcd's: one inbox, and nothing kept of an answer. */
import { connect, createInbox, nkeyAuthenticator } from "nats"
import type { Access } from "#test/bench/raft/servers.ts"

export interface Outside {
  readonly write: (subject: string) => Promise<void>
  readonly close: () => Promise<void>
}

interface Waiting {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

export async function openOutside(access: Access, body: Uint8Array): Promise<Outside> {
  const connection = await connect({
    servers: access.url,
    authenticator: nkeyAuthenticator(new TextEncoder().encode(access.seed)),
    ...(access.tls && { tls: access.tls })
  })
  const inbox = createInbox()
  const waiting = new Map<string, Waiting>()
  connection.subscribe(`${inbox}.*`, {
    callback: (_error, message) => {
      const token = message.subject.slice(inbox.length + 1)
      const one = waiting.get(token)
      waiting.delete(token)
      if (message.headers === undefined) one?.resolve()
      else one?.reject(new Error(message.headers.get("error") || `status ${message.headers.code}`))
    }
  })
  await connection.flush()
  let next = 0
  return {
    write: (subject) =>
      new Promise((resolve, reject) => {
        const token = String(next++)
        waiting.set(token, { resolve, reject })
        connection.publish(subject, body, { reply: `${inbox}.${token}` })
      }),
    close: () => connection.close()
  }
}
