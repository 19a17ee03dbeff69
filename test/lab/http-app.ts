/**
 * A service as it should be: told to stop, it lets everyone who keeps a connection know with the next answer, and ends when
 * all connections have. Nobody sends it new ones by then.
 *
 *     bun http-app.ts PORT
 */
import http from "node:http"
import { hostname } from "node:os"
import process from "node:process"

/** Work takes a moment, so that some is always under way. */
const workMs = 20

let isLeaving = false
let connections = 0
const endWhenIdle = (): void => {
  if (isLeaving && connections === 0) process.exit(0)
}

http
  .createServer((request, response) => {
    request.resume().on("end", () => {
      setTimeout(() => {
        if (isLeaving) response.setHeader("connection", "close")
        response.end(hostname())
      }, workMs)
    })
  })
  .on("connection", (socket) => {
    connections += 1
    socket.on("close", () => {
      connections -= 1
      endWhenIdle()
    })
  })
  .listen(Number(process.argv[2]))
process.on("SIGTERM", () => {
  isLeaving = true
  endWhenIdle()
})
