/**
 * Sees endpoints come and go on one machine of a lab, and says what it sees as lines of JSON, with the time of the clock in
 * milliseconds. Run in the network that is looked at:
 *
 *     bun watch.ts names SERVER     the addresses of the name that stdin says last
 *     bun watch.ts rules CHAIN…     the addresses that chains of nftables lead to
 *     bun watch.ts doors HOST       the host names that answer at the port that stdin says last; 0 is none
 */
import { spawn } from "node:child_process"
import dgram from "node:dgram"
import net from "node:net"
import process from "node:process"
import { createInterface } from "node:readline"
import { decode, encode } from "dns-packet"

/** What was seen; `way` is the name, `doors`, or the chain. */
export interface Sight {
  readonly way: string
  readonly at: number
  readonly values: ReadonlyArray<string>
}

const everyMs = 4
/** Of connections that are led by chance, several are tried at once. */
const doorsEveryMs = 10
const doorsAtOnce = 2

const say = (way: string, values: ReadonlyArray<string>): void =>
  console.log(JSON.stringify({ way, at: Date.now(), values } satisfies Sight))

function names(server: string): void {
  const socket = dgram.createSocket("udp4")
  let [name, before] = ["", ""]
  socket.on("message", (message) => {
    const { answers = [], questions = [] } = decode(message)
    if (questions[0]?.name !== name) return
    const found = answers.flatMap((answer) => (answer.type === "A" ? [answer.data] : [])).sort()
    if (found.join() === before) return
    before = found.join()
    say(name, found)
  })
  socket.bind(0, () => {
    setInterval(() => {
      if (name === "") return
      const questions = [{ type: "A", name } as const]
      socket.send(encode({ type: "query", id: 1, flags: 0x0100, questions }), 53, server)
    }, everyMs)
  })
  createInterface(process.stdin).on("line", (line) => {
    ;[name, before] = [line, ""]
  })
}

/** The kernel tells each rule that is written, so nobody has to read all of them again and again. */
function rules(chains: ReadonlySet<string>): void {
  const monitor = spawn("nft", ["monitor", "rules"], { stdio: ["ignore", "pipe", "inherit"] })
  process.once("exit", () => monitor.kill())
  createInterface(monitor.stdout).on("line", (line) => {
    const [, chain = "", choices = ""] = /^add rule inet troupe_\S+ (\S+) .*map \{ (.*?) \}/.exec(line) ?? []
    if (chains.has(chain)) say(chain, [...choices.matchAll(/ : ([\d.]+)/g)].map(([, to]) => to ?? "").sort())
  })
}

function doors(host: string): void {
  const seen = new Set<string>()
  const knock = (port: number): void => {
    const socket = net.connect({ host, port })
    let text = ""
    socket.setTimeout(1_000, () => socket.destroy())
    socket.on("error", () => {})
    socket.on("data", (chunk) => {
      text += String(chunk)
    })
    socket.on("close", () => {
      const name = text.trim()
      if (name === "" || seen.has(name)) return
      seen.add(name)
      say("doors", [name])
    })
  }
  let port = 0
  setInterval(() => {
    for (let at = 0; at < doorsAtOnce && port !== 0; at++) knock(port)
  }, doorsEveryMs)
  createInterface(process.stdin).on("line", (line) => {
    port = Number(line)
  })
}

if (import.meta.main) {
  const [role, first = "", ...others] = process.argv.slice(2)
  if (role === "names") names(first)
  else if (role === "rules") rules(new Set([first, ...others]))
  else doors(first)
}
