/**
 * Answers with what it was asked, as JSON, over HTTP/1.1 or HTTP/2 without TLS; what is upgraded is echoed byte by byte.
 * Told to stop, it ends as a service should: connections hear of it with their next answer, and it ends with the last.
 *
 *     bun echo-app.ts PORT NAME [h2c]
 */
import { createHash } from "node:crypto"
import http from "node:http"
import http2 from "node:http2"
import process from "node:process"

export interface Echo {
  readonly name: string
  readonly path: string
  readonly version: string
  readonly headers: Readonly<Record<string, string>>
}

let isLeaving = false
let connections = 0
const endWhenIdle = (): void => {
  if (isLeaving && connections === 0) process.exit(0)
}

export function serveEcho(port: number, name: string, protocol: string, host?: string) {
  const answer = (
    request: http.IncomingMessage | http2.Http2ServerRequest,
    response: http.ServerResponse | http2.Http2ServerResponse
  ): void => {
    request.resume()
    request.on("end", () => {
      if (isLeaving && protocol !== "h2c") response.setHeader("connection", "close")
      const echo = { name, path: request.url, version: request.httpVersion, headers: request.headers }
      response.end(JSON.stringify(echo))
    })
  }
  const server = protocol === "h2c" ? http2.createServer(answer) : http.createServer(answer)
  server.on("upgrade", (request, socket) => {
    // RFC 6455 §1.3
    const key = `${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`
    const accept = createHash("sha1").update(key).digest("base64")
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`
    )
    socket.pipe(socket)
  })
  server.on("connection", (socket) => {
    connections += 1
    socket.on("close", () => {
      connections -= 1
      endWhenIdle()
    })
  })
  return server.listen(port, host)
}

if (import.meta.main) {
  const [port, name = "", protocol = "http1"] = process.argv.slice(2)
  serveEcho(Number(port), name, protocol)
  process.on("SIGTERM", () => {
    isLeaving = true
    endWhenIdle()
  })
}
