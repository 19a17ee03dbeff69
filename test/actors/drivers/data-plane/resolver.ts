/** A resolver of the world outside, for tests: answers over UDP and TCP as it is told to. */
import dgram from "node:dgram"
import net from "node:net"
import { type Answer, decode, encode, TRUNCATED_RESPONSE } from "dns-packet"
import { eachMessage, framed } from "#actors/drivers/data-plane/packet.ts"

export interface Behaviour {
  readonly code?: number
  readonly answers?: (name: string) => ReadonlyArray<Answer>
  readonly isCut?: boolean
  readonly silent?: boolean
  /** Answers over UDP only once this has come true. */
  readonly until?: Promise<void>
  /** Answers with another id first. */
  readonly isForged?: boolean
}

export interface Resolver {
  readonly asked: Array<string>
  behaviour: Behaviour
  readonly close: () => void
}

export async function openResolver(host: string, port: number, behaviour: Behaviour): Promise<Resolver> {
  const resolver = { asked: [] as Array<string>, behaviour, close: () => {} }
  const reply = (message: Uint8Array, over: "udp" | "tcp"): ReadonlyArray<Uint8Array> => {
    const { id = 0, questions = [] } = decode(Buffer.from(message))
    const name = questions[0]?.name ?? ""
    resolver.asked.push(`${over} ${name}`)
    const { code = 0, answers, isCut = false, silent = false, isForged = false } = resolver.behaviour
    if (silent) return []
    const cut = isCut && over === "udp"
    const flags = 0x0180 | code | (cut ? TRUNCATED_RESPONSE : 0)
    const packet = { type: "response", id, flags, questions } as const
    const honest = encode({ ...packet, answers: cut ? [] : [...(answers?.(name) ?? [])] })
    const forged = encode({
      ...packet,
      id: (id + 1) % 65_536,
      answers: [{ type: "A", name, data: "6.6.6.6" }]
    })
    return isForged ? [forged, honest] : [honest]
  }
  const udp = dgram.createSocket("udp4")
  udp.on("message", async (message, from) => {
    const answers = reply(message, "udp")
    await resolver.behaviour.until
    for (const answer of answers) udp.send(answer, from.port, from.address)
  })
  await new Promise<void>((resolve) => udp.bind(port, host, resolve))
  const tcp = net.createServer((socket) => {
    socket.on("error", () => {})
    socket.on(
      "data",
      eachMessage((message) => {
        for (const answer of reply(message, "tcp")) socket.write(framed(answer))
      })
    )
  })
  await new Promise<void>((resolve) => tcp.listen(port, host, resolve))
  resolver.close = () => {
    udp.close()
    tcp.close()
  }
  return resolver
}
