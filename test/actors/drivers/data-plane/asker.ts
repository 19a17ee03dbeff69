/** Asks a name server from an address of our choice: all of 127.0.0.0/8 is ours on Linux. */
import dgram from "node:dgram"
import net from "node:net"
import { decode, encode, type Packet, type RecordType } from "dns-packet"
import { eachMessage, framed } from "#actors/drivers/data-plane/packet.ts"

export type Told = ReturnType<typeof decode> & { readonly rcode: string; readonly bytes: number }
type Asked = string | Partial<Packet> | Uint8Array

const packetOf = (asked: Asked, type: RecordType): Uint8Array =>
  asked instanceof Uint8Array
    ? asked
    : encode({
        type: "query",
        id: 4_711,
        flags: 0x0100,
        ...(typeof asked === "string" ? { questions: [{ type, name: asked }] } : asked)
      })

const told = (bytes: Uint8Array): Told =>
  ({ ...decode(Buffer.from(bytes)), bytes: bytes.length }) as unknown as Told

export interface At {
  readonly port: number
  readonly from: string
  readonly type?: RecordType
}

/** `undefined` when there is no answer within `withinMs`. */
export function askOverUdp(asked: Asked, at: At, withinMs = 5_000): Promise<Told | undefined> {
  return new Promise((resolve, reject) => {
    const socket = dgram.createSocket("udp4")
    const settle = (answer: Told | undefined): void => {
      clearTimeout(timer)
      socket.close()
      resolve(answer)
    }
    const timer = setTimeout(settle, withinMs, undefined)
    socket.on("error", reject)
    socket.on("message", (message) => settle(told(message)))
    socket.bind(0, at.from, () => socket.send(packetOf(asked, at.type ?? "A"), at.port, "127.0.0.1"))
  })
}

/** All the answers to questions that are sent at once, cut into small pieces; fewer when the server closes. */
export function askOverTcp(asked: ReadonlyArray<Asked>, at: At): Promise<ReadonlyArray<Told>> {
  return new Promise((resolve) => {
    const answers: Array<Told> = []
    const socket = net.connect({ host: "127.0.0.1", port: at.port, localAddress: at.from })
    socket.on("error", () => {})
    socket.on("close", () => resolve(answers))
    socket.on("connect", () => {
      const bytes = Buffer.concat(asked.map((one) => framed(packetOf(one, at.type ?? "A"))))
      for (let i = 0; i < bytes.length; i += 7) socket.write(bytes.subarray(i, i + 7))
    })
    socket.on(
      "data",
      eachMessage((message) => {
        answers.push(told(message))
        if (answers.length === asked.length) socket.destroy()
      })
    )
  })
}

export const addressesIn = (answer: Told | undefined): ReadonlyArray<string> =>
  (answer?.answers ?? []).map((record) => ("data" in record ? String(record.data) : "")).sort()

/** A port that nobody has over UDP and TCP just now. */
export async function freePort(): Promise<number> {
  const server = net.createServer()
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as net.AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
