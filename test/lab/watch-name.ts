/**
 * Asks a server for one name, again and again, until the answer is as wanted; says `ready` and then when that was, in
 * milliseconds of the clock. Run inside a container's network, with the programs of the machine.
 */
import dgram from "node:dgram"
import process from "node:process"
import { decode, encode } from "dns-packet"

const [server = "", name = "", wanted = ""] = process.argv.slice(2)
const question = encode({ type: "query", id: 1, flags: 0x0100, questions: [{ type: "A", name }] })
const socket = dgram.createSocket("udp4")
socket.on("message", (message) => {
  const { answers = [], rcode } = decode(message) as ReturnType<typeof decode> & { readonly rcode: string }
  // `3` waits for so many addresses, `known` for the name to be there, with or without any.
  if (rcode !== "NOERROR" || (wanted !== "known" && answers.length !== Number(wanted))) return
  console.log(Date.now())
  process.exit(0)
})
socket.bind(0, () => {
  console.log("ready")
  setInterval(() => socket.send(question, 53, server), 2)
})
