/**
 * Asks other resolvers what is not ours to answer, and gives their answers on as they are.
 *
 * Equal questions that are under way at once are asked once. That also ends a loop, a resolver that asks us in turn: its
 * question waits for the answer to itself until time is up.
 */
import { randomInt } from "node:crypto"
import dgram from "node:dgram"
import net, { isIPv6 } from "node:net"
import { eachMessage, framed, type Query, refused, serverFailure } from "#actors/drivers/data-plane/packet.ts"

/** Together less than the 5 s that an asker's own resolver waits. resolv.conf(5). */
const nextAfterMs = 1_500
const tries = 3
const mostUnderway = 512
const headerBytes = 12

export interface Exchange {
  readonly bytes: Uint8Array
  readonly query: Query
  readonly resolvers: ReadonlyArray<string>
  readonly over: "udp" | "tcp"
}

export class Forwarder {
  readonly #port: number
  readonly #underway = new Map<string, Promise<Uint8Array | undefined>>()

  /** Resolvers listen at port 53, but for those of tests. */
  constructor(port = 53) {
    this.#port = port
  }

  /** The first answer that helps, made out to the asker; `undefined` when nobody answers in time. */
  async ask(exchange: Exchange): Promise<Uint8Array | undefined> {
    const { bytes, query, resolvers, over } = exchange
    const { name, type } = query.question
    const flags = (query.packet.flags ?? 0) & 0x0110
    const key = [over, query.datagramBytes, flags, type, name.toLowerCase(), ...resolvers].join(" ")
    let underway = this.#underway.get(key)
    if (underway === undefined) {
      if (this.#underway.size >= mostUnderway) return undefined
      underway = inquire(exchange, this.#port).finally(() => this.#underway.delete(key))
      this.#underway.set(key, underway)
    }
    const answer = await underway
    return answer && madeOutTo(bytes, answer, name)
  }
}

/** With the asker's own id, and the question in the asker's own letters, which some compare (DNS 0x20). */
function madeOutTo(bytes: Uint8Array, answer: Uint8Array, name: string): Uint8Array {
  const copy = Uint8Array.from(answer)
  copy.set(bytes.subarray(0, 2))
  const end = headerBytes + (name === "." ? 1 : name.length + 2)
  if (copy.length >= end) copy.set(bytes.subarray(headerBytes, end), headerBytes)
  return copy
}

/** Asks one after the other, and again, without turning a deaf ear to those asked before. */
function inquire({ bytes, query, resolvers, over }: Exchange, port: number): Promise<Uint8Array | undefined> {
  return new Promise((resolve) => {
    const ends: Array<() => void> = []
    let asked = 0
    let silent = 0
    let timer: ReturnType<typeof setTimeout> | undefined
    let lastWord: Uint8Array | undefined
    const settle = (answer: Uint8Array | undefined): void => {
      clearTimeout(timer)
      for (const end of ends) end()
      resolve(answer)
    }
    const next = (): void => {
      clearTimeout(timer)
      const resolver = resolvers[asked % resolvers.length]
      if (asked >= tries || resolver === undefined) {
        // Those that were asked may still answer, unless all have said that they do not.
        if (silent === 0) settle(lastWord)
        else timer = setTimeout(settle, nextAfterMs, lastWord)
        return
      }
      asked += 1
      silent += 1
      timer = setTimeout(next, nextAfterMs)
      let isOver = false
      const heard = (answer: Uint8Array | undefined): void => {
        if (isOver) return
        isOver = true
        silent -= 1
        lastWord = answer ?? lastWord
        if (answer !== undefined && !isFailure(answer)) settle(answer)
        else next()
      }
      ends.push((over === "tcp" ? askStream : askDatagram)(bytes, query, resolver, port, heard))
    }
    next()
  })
}

/** A resolver that fails or refuses may be followed by one that does not. */
export const isFailure = (answer: Uint8Array): boolean => {
  const code = (answer[3] ?? 0) & 0x0f
  return code === serverFailure || code === refused
}

type Heard = (answer: Uint8Array | undefined) => void
type Asking = (bytes: Uint8Array, query: Query, to: string, port: number, heard: Heard) => () => void

/** From a port and with an id of its own, so that nobody answers who was not asked. RFC 5452. */
const askDatagram: Asking = (bytes, query, to, port, heard) => {
  const question = disguised(bytes)
  const socket = dgram.createSocket(isIPv6(to.split("%")[0] ?? "") ? "udp6" : "udp4")
  let isOpen = true
  const close = (): void => {
    if (!isOpen) return
    isOpen = false
    socket.close()
  }
  const give = (answer: Uint8Array | undefined): void => {
    close()
    heard(answer)
  }
  socket.on("error", () => give(undefined))
  socket.on("message", (answer) => {
    if (isAnswer(answer, question, query)) give(answer)
  })
  try {
    socket.connect(port, to, () => {
      if (isOpen) socket.send(question, (error) => (error ? give(undefined) : undefined))
    })
  } catch {
    queueMicrotask(() => give(undefined))
  }
  return close
}

const askStream: Asking = (bytes, query, to, port, heard) => {
  const question = disguised(bytes)
  const socket = net.connect({ host: to, port })
  const give = (answer: Uint8Array | undefined): void => {
    socket.destroy()
    heard(answer)
  }
  socket.on("error", () => give(undefined))
  socket.on("close", () => give(undefined))
  socket.once("connect", () => socket.write(framed(question)))
  socket.on(
    "data",
    eachMessage((answer) => {
      if (isAnswer(answer, question, query)) give(Uint8Array.from(answer))
    })
  )
  return () => socket.destroy()
}

function disguised(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes)
  const id = randomInt(65_536)
  copy[0] = id >> 8
  copy[1] = id & 0xff
  return copy
}

/** It has the id, is an answer, and repeats the question, in whatever letters. */
function isAnswer(answer: Uint8Array, question: Uint8Array, query: Query): boolean {
  if (answer[0] !== question[0] || answer[1] !== question[1] || ((answer[2] ?? 0) & 0x80) === 0) return false
  const end = headerBytes + query.question.name.length + 2
  // A failure may come without the question. RFC 1035 §4.1.1.
  if (answer[5] === 0) return isFailure(answer)
  for (let at = headerBytes; at < end; at++) {
    if (small(answer[at]) !== small(question[at])) return false
  }
  return true
}

const small = (byte = 0): number => (byte >= 65 && byte <= 90 ? byte + 32 : byte)
