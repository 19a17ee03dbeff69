/**
 * The pass-through by itself on a socket of its own, for trying it under another runtime:
 * `deno run -A test/integration/proxy-smoke.ts SOCKET [ENGINE]` prints `listening` and serves until it is ended.
 */
import http from "node:http"
import process from "node:process"
import { parseEngineAddress } from "#actors/drivers/engine/address.ts"
import { makeProxy } from "#actors/gateway/proxy.ts"

const [socket = "", engineText = "unix:///var/run/docker.sock"] = process.argv.slice(2)
const engine = parseEngineAddress(engineText)
if (socket === "" || "message" in engine) {
  console.error("usage: proxy-smoke.ts SOCKET [unix:///… | tcp://…]")
  process.exit(2)
}
const proxy = makeProxy({ engine, apiVersion: () => "1.41" })
const server = http.createServer((request, response) => proxy.forward(request, response))
server.on("upgrade", (request, client, head) => proxy.tunnel(request, client, head))
server.listen(socket, () => console.log("listening"))
