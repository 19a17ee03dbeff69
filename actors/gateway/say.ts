/** Answers in a few words on what node:http gave us: what the doors, the listener and the proxy say themselves. */
import { Buffer } from "node:buffer"
import http, { type ServerResponse } from "node:http"
import type { Duplex } from "node:stream"

type Headers = Readonly<Record<string, string>>

const bodyOf = (message: string): Buffer => Buffer.from(`${JSON.stringify({ message })}\n`)

export function say(response: ServerResponse, status: number, message: string, headers: Headers): void {
  const body = bodyOf(message)
  response.writeHead(status, {
    ...headers,
    "Content-Type": "application/json",
    "Content-Length": String(body.length)
  })
  response.end(body)
}

/** Answers a request for something else than HTTP, and ends the connection. */
export function refuseUpgrade(socket: Duplex, status: number, message: string, headers: Headers = {}): void {
  const body = bodyOf(message)
  const more = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(
    `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\n${more.join("")}Content-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`
  )
}
