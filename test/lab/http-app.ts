/**
 * A service as it should be: told to stop, it takes no new connections, finishes what it has begun, and lets those who keep
 * a connection know with their next answer.
 *
 *     bun http-app.ts PORT
 */
import http from "node:http"
import { hostname } from "node:os"
import process from "node:process"

/** Work takes a moment, so that some is always under way. */
const workMs = 20

let isLeaving = false
const server = http.createServer((request, response) => {
  request.resume().on("end", () => {
    setTimeout(() => {
      if (isLeaving) response.setHeader("connection", "close")
      response.end(hostname())
    }, workMs)
  })
})
server.keepAliveTimeout = 0
server.listen(Number(process.argv[2]))
process.on("SIGTERM", () => {
  isLeaving = true
  server.close(() => process.exit(0))
})
