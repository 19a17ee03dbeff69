/**
 * The process that carries published ports' traffic and answers names. The daemon starts it, and it stays when the daemon dies.
 * It loads nothing but sockets and files, so that it is small and up at once.
 */
import process from "node:process"
import { parseArgs } from "node:util"
import { dataPlanePaths } from "#actors/drivers/data-plane/protocol.ts"
import { serveDataPlane } from "#actors/drivers/data-plane/serve.ts"

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: { "data-dir": { type: "string" }, "run-dir": { type: "string" } }
})
const dataDir = values["data-dir"]
const runDir = values["run-dir"]
if (dataDir === undefined || runDir === undefined) {
  console.error("The data plane is started by the daemon: expected --data-dir and --run-dir")
  process.exit(2)
}
await serveDataPlane(dataPlanePaths(dataDir, runDir))
process.exit(0)
