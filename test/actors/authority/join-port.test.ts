import { expect, test } from "bun:test"
import { createConnection } from "node:net"
import { connect, type TLSSocket } from "node:tls"
import { Effect } from "effect"
import { openJoinPort } from "#actors/authority/join-port.ts"
import { newRoot } from "#actors/authority/x509.ts"
import { Refused } from "#actors/model/errors.ts"
import { identityOf, requestWith } from "#test/support/joining.ts"

const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => Effect.runPromise(effect)

/** Calls `use` with a port that lets nobody in. */
const withPort = async (use: (port: number) => Promise<void>): Promise<void> => {
  const now = Date.now()
  const identity = await identityOf("manager", await run(newRoot(now)), now)
  const nobody = () => Effect.fail(Refused.of({ code: "forbidden", message: "not you" }))
  await run(
    Effect.scoped(
      openJoinPort({
        host: "127.0.0.1",
        port: 0,
        identity: () => identity,
        standing: () => ({ clusterId: "blue", raftId: "r1", incarnation: { number: 1, id: "" } }),
        reissue: nobody,
        welcome: nobody
      }).pipe(Effect.flatMap((port) => Effect.promise(() => use(port))))
    )
  )
}

const body = JSON.stringify(requestWith("t"))

const opened = (port: number, localAddress: string): Promise<TLSSocket> =>
  new Promise((resolve, reject) => {
    const line = createConnection({ host: "127.0.0.1", port, localAddress }).once("error", reject)
    const socket = connect({ socket: line, rejectUnauthorized: false }, () => resolve(socket))
    socket.once("error", reject)
  })

const head = `POST /v1/join HTTP/1.1\r\nHost: m1\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`

/** The status of the answer to a request from that address. */
const knock = async (port: number, from: string): Promise<number> => {
  const socket = await opened(port, from)
  let text = ""
  const ended = new Promise<void>((resolve) =>
    socket.on("data", (part) => (text += part)).once("end", resolve)
  )
  socket.write(head + body)
  await ended
  socket.destroy()
  return Number(text.split(" ")[1])
}

test("who was refused often is put off for a while, and nobody else", () =>
  withPort(async (port) => {
    for (let at = 0; at < 10; at++) expect(await knock(port, "127.0.0.2")).toBe(403)
    expect(await knock(port, "127.0.0.2")).toBe(429)
    expect(await knock(port, "127.0.0.1")).toBe(403)
  }))

test("who begins requests and does not end them, or hangs up, holds nobody up", () =>
  withPort(async (port) => {
    const slow = await Promise.all(Array.from({ length: 16 }, () => opened(port, "127.0.0.2")))
    for (const socket of slow) socket.write(head + body.slice(0, 10))
    try {
      for (let at = 0; at < 5; at++) expect(await knock(port, "127.0.0.1")).toBe(403)
    } finally {
      for (const socket of slow) socket.destroy()
    }
    for (let at = 0; at < 5; at++) expect(await knock(port, "127.0.0.3")).toBe(403)
  }))
