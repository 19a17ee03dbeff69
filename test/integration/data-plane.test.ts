/** The data plane with real sockets and a real process: balancing, holding, half-closing, outliving its daemon. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test"
import { execFileSync, spawn } from "node:child_process"
import dgram from "node:dgram"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { Effect, Exit, Scope } from "effect"
import { type LiveDataPlane, startDataPlane, stopDataPlane } from "#actors/drivers/data-plane/live.ts"
import type { PortProblem } from "#actors/drivers/data-plane.ts"
import { nothingLed } from "#actors/drivers/led.ts"
import { identityOf, isAlive, type ProcessIdentity } from "#actors/drivers/machine/process-identity.ts"
import type { PublishedPort } from "#actors/network/plan.ts"
import { dataPlanesOf } from "#cli/former-self.ts"
import { until } from "#test/actors/nats/support.ts"
import { freePort } from "#test/support/free-port.ts"
import { ownName } from "#test/support/own-name.ts"

const endings: Array<() => unknown> = []
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end()
})

const place = (): { readonly dataDir: string; readonly runDir: string } => {
  const root = mkdtempSync(join(tmpdir(), "troupe-dp-"))
  return { dataDir: join(root, "data"), runDir: join(root, "run") }
}

interface Session {
  readonly plane: LiveDataPlane
  readonly publish: (...ports: ReadonlyArray<PublishedPort>) => Promise<ReadonlyArray<PortProblem>>
  /** Ends the daemon's side in good order; the process stays. */
  readonly leave: () => Promise<void>
}

async function open(at: { readonly dataDir: string; readonly runDir: string }): Promise<Session> {
  const scope = Effect.runSync(Scope.make())
  const plane = await Effect.runPromise(Scope.provide(startDataPlane(at), scope))
  return {
    plane,
    publish: (...ports) => Effect.runPromise(plane.publish(ports)),
    leave: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

const shared = place()
let session: Session
beforeAll(async () => {
  session = await open(shared)
})
afterAll(async () => {
  await session.leave()
  await Effect.runPromise(stopDataPlane(shared))
  rmSync(join(shared.dataDir, ".."), { recursive: true, force: true })
})

const identify = async (of: Session): Promise<ProcessIdentity> => {
  const { pid } = await Effect.runPromise(of.plane.status)
  return identityOf(pid) ?? { pid, startTime: "gone" }
}

/** A server on one loopback address, where each backend of a service has its own as containers do. */
async function backend(
  address: string,
  port: number,
  serve: (socket: net.Socket) => void
): Promise<{ readonly close: () => void }> {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {})
    serve(socket)
  })
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject)
    server.listen(port, address, resolve)
  })
  const close = (): void => void server.close()
  endings.push(close)
  return { close }
}

const says = (name: string) => (socket: net.Socket) => void socket.end(name)

const published = (
  publishedPort: number,
  targetPort: number,
  addresses: ReadonlyArray<string>,
  protocol: "tcp" | "udp" = "tcp"
): PublishedPort => ({
  serviceId: "s1",
  serviceName: "web",
  protocol,
  publishedPort,
  targetPort,
  backends: addresses.map((address, i) => ({ taskId: `t${i}`, nodeId: "n1", address }))
})

/** Connects, says what there is to say, and yields all that came back, or the error's code. */
function call(port: number, host = "127.0.0.1", say: string | Uint8Array = ""): Promise<string> {
  return new Promise((resolve) => {
    let heard = ""
    const socket = net.connect({ host, port, allowHalfOpen: true }, () => socket.end(say))
    socket.on("data", (chunk) => {
      heard += chunk
    })
    socket.on("error", (error) => resolve((error as NodeJS.ErrnoException).code ?? error.message))
    socket.on("end", () => resolve(heard))
    socket.on("close", () => resolve(heard))
  })
}

async function twoPorts(): Promise<readonly [number, number]> {
  return [await freePort(), await freePort()]
}

describe("TCP", () => {
  test("a published port answers on 127.0.0.1 and ::1, from each backend in turn", async () => {
    const [front, back] = await twoPorts()
    const addresses = ["127.0.10.1", "127.0.10.2", "127.0.10.3"]
    for (const address of addresses) await backend(address, back, says(address))
    expect(await session.publish(published(front, back, addresses))).toEqual([])
    const heard = new Map<string, number>()
    for (let i = 0; i < 12; i++) {
      const who = await call(front, i % 2 === 0 ? "127.0.0.1" : "::1")
      heard.set(who, (heard.get(who) ?? 0) + 1)
    }
    expect(Object.fromEntries(heard)).toEqual({ "127.0.10.1": 4, "127.0.10.2": 4, "127.0.10.3": 4 })
  })

  test("two services share a port at different addresses, and whoever has none of them is not asked", async () => {
    const [front, back] = await twoPorts()
    for (const address of ["127.0.10.1", "127.0.10.2"]) await backend(address, back, says(address))
    const at = (address: string, ...only: ReadonlyArray<string>) => ({
      ...published(front, back, [address]),
      ...{ serviceId: address, serviceName: address, only }
    })
    const elsewhere = at("127.0.10.2", "203.0.113.0/24")
    expect(
      await session.publish(at("127.0.10.1", "127.0.0.1/32"), at("127.0.10.2", "::1/128"), elsewhere)
    ).toEqual([])
    expect([await call(front), await call(front, "::1")]).toEqual(["127.0.10.1", "127.0.10.2"])
    expect(await call(front)).toBe("127.0.10.1")
    const { counts, endpoints } = await Effect.runPromise(session.plane.count)
    const port = { _tag: "Port", protocol: "tcp", publishedPort: front } as const
    expect([...counts]).toEqual([
      [`tcp/${front} 127.0.0.1`, 2],
      [`tcp/${front} ::1`, 1]
    ])
    expect([...endpoints.values()]).toEqual([
      { ...port, serviceId: "127.0.10.1" },
      { ...port, serviceId: "127.0.10.2" }
    ])
    await session.publish(elsewhere)
    expect([await call(front), await call(front, "::1")]).toEqual(["ECONNREFUSED", "ECONNREFUSED"])
  })

  test("a backend that refuses is tried past, and the client notices nothing", async () => {
    const [front, back] = await twoPorts()
    await backend("127.0.10.2", back, says("two"))
    await session.publish(published(front, back, ["127.0.10.1", "127.0.10.2", "127.0.10.3"]))
    for (let i = 0; i < 9; i++) expect(await call(front)).toBe("two")
  })

  test("a client that meets no backend is held, and served when one comes", async () => {
    const [front, back] = await twoPorts()
    await session.publish(published(front, back, []))
    const answers = [call(front), call(front), call(front)]
    await until("they are held", async () => {
      const { ports } = await Effect.runPromise(session.plane.status)
      return ports[0]?.held === 3
    })
    await backend("127.0.10.1", back, says("late"))
    await session.publish(published(front, back, ["127.0.10.1"]))
    expect(await Promise.all(answers)).toEqual(["late", "late", "late"])
    expect((await Effect.runPromise(session.plane.status)).ports[0]).toMatchObject({ accepted: 3, held: 0 })
  })

  test("a client is held too while the only backend does not listen yet", async () => {
    const [front, back] = await twoPorts()
    await session.publish(published(front, back, ["127.0.10.1"]))
    const answer = call(front)
    await until("it is held", async () => {
      const { ports } = await Effect.runPromise(session.plane.status)
      return ports[0]?.held === 1
    })
    await backend("127.0.10.1", back, says("up"))
    expect(await answer).toBe("up")
  })

  test("a client may end its side first and still hear the whole answer, and the other way round", async () => {
    const [front, back] = await twoPorts()
    await backend("127.0.10.1", back, (socket) => {
      let heard = ""
      socket.on("data", (chunk) => {
        heard += chunk
      })
      // Answers only after the client has said that it is done.
      socket.on("end", () => socket.end(`heard ${heard}`))
    })
    await backend("127.0.10.2", back, (socket) => {
      // Ends at once, then goes on listening.
      socket.end("bye")
      socket.on("data", (chunk) => void afterwards.push(String(chunk)))
    })
    const afterwards: Array<string> = []
    await session.publish(published(front, back, ["127.0.10.1"]))
    expect(await call(front, "127.0.0.1", "question")).toBe("heard question")

    await session.publish(published(front, back, ["127.0.10.2"]))
    const socket = net.connect({ port: front, host: "127.0.0.1", allowHalfOpen: true })
    endings.push(() => socket.destroy())
    await new Promise((resolve) => socket.on("end", resolve).resume())
    socket.end("still here")
    await until("the backend heard it", () => afterwards.join("") === "still here")
  })

  test("a broken connection is broken on the other side too, not ended as if all was well", async () => {
    const [front, back] = await twoPorts()
    await backend("127.0.10.1", back, (socket) => {
      socket.write("half an ans", () => socket.resetAndDestroy())
    })
    await session.publish(published(front, back, ["127.0.10.1"]))
    const outcome = await new Promise<string>((resolve) => {
      const socket = net.connect({ port: front, host: "127.0.0.1" })
      socket.on("error", (error) => resolve((error as NodeJS.ErrnoException).code ?? ""))
      socket.on("end", () => resolve("ended in good order"))
      socket.resume()
    })
    expect(outcome).toBe("ECONNRESET")
  })

  test("64 MB pass both ways unchanged, and a slow reader holds the sender back", async () => {
    const [front, back] = await twoPorts()
    await backend("127.0.10.1", back, (socket) => {
      socket.on("data", (chunk) => {
        if (!socket.write(chunk)) socket.pause()
      })
      socket.on("drain", () => socket.resume())
      socket.on("end", () => socket.end())
    })
    await session.publish(published(front, back, ["127.0.10.1"]))
    const total = 64 * 1024 * 1024
    const block = new Uint8Array(1024 * 1024).map((_, i) => i % 251)
    const socket = net.connect({ port: front, host: "127.0.0.1", allowHalfOpen: true })
    endings.push(() => socket.destroy())
    let sent = 0
    let received = 0
    let wrong = 0
    let slow = true
    const send = (): void => {
      while (sent < total) {
        sent += block.length
        if (!socket.write(block)) return
      }
      socket.end()
    }
    socket.on("drain", () => {
      if (sent < total) send()
      else if (!socket.writableEnded) socket.end()
    })
    socket.pause()
    socket.on("data", (chunk) => {
      for (let i = 0; i < chunk.length; i += 4_099) {
        if (chunk[i] !== ((received + i) % block.length) % 251) wrong += 1
      }
      received += chunk.length
    })
    socket.pause()
    send()
    // Nobody reads: what is under way fits into buffers, and the sender is stopped.
    let before = -1
    await until("the sender has stopped", async () => {
      const still = before === sent
      before = sent
      await new Promise((resolve) => setTimeout(resolve, 150))
      return still && before === sent
    })
    expect(sent).toBeLessThan(total)
    slow = false
    socket.resume()
    await new Promise((resolve) => socket.on("end", resolve))
    expect(slow).toBe(false)
    expect({ received, wrong }).toEqual({ received: total, wrong: 0 })
  }, 60_000)

  test("a live connection outlives its backend's removal, other tables, and its port", async () => {
    const [front, back] = await twoPorts()
    const echo = (name: string) => (socket: net.Socket) =>
      void socket.on("data", (chunk) => socket.write(`${name}:${chunk}`))
    await backend("127.0.10.1", back, echo("one"))
    await backend("127.0.10.2", back, echo("two"))
    await session.publish(published(front, back, ["127.0.10.1"]))
    const socket = net.connect({ port: front, host: "127.0.0.1" })
    endings.push(() => socket.destroy())
    let heard = ""
    socket.on("data", (chunk) => {
      heard += chunk
    })
    socket.write("a")
    await until("it is live", () => heard === "one:a")
    await session.publish(published(front, back, ["127.0.10.2"]))
    socket.write("b")
    await until("it goes on", () => heard === "one:aone:b")
    await session.publish()
    expect(await call(front)).toBe("ECONNREFUSED")
    socket.write("c")
    await until("it goes on still", () => heard === "one:aone:bone:c")
  })
})

describe("UDP", () => {
  async function udpBackend(address: string, port: number, name: string): Promise<dgram.Socket> {
    const socket = dgram.createSocket("udp4")
    socket.on("message", (message, from) => socket.send(`${name}:${message}`, from.port, from.address))
    await new Promise<void>((resolve) => socket.bind(port, address, resolve))
    endings.push(() => socket.close())
    return socket
  }

  function client(type: "udp4" | "udp6", port: number): { say: (text: string) => Promise<string> } {
    const socket = dgram.createSocket(type)
    endings.push(() => socket.close())
    return {
      say: (text) =>
        new Promise((resolve) => {
          const again = setInterval(() => send(), 200)
          socket.once("message", (message) => {
            clearInterval(again)
            resolve(String(message))
          })
          const send = (): void => socket.send(text, port, type === "udp4" ? "127.0.0.1" : "::1")
          send()
        })
    }
  }

  test("a client's datagrams go to one backend, other clients' to the others, and answers come back", async () => {
    const [front, back] = await twoPorts()
    await udpBackend("127.0.10.1", back, "one")
    await udpBackend("127.0.10.2", back, "two")
    expect(await session.publish(published(front, back, ["127.0.10.1", "127.0.10.2"], "udp"))).toEqual([])
    const [a, b] = [client("udp4", front), client("udp6", front)]
    expect(await a.say("x")).toBe("one:x")
    expect(await b.say("x")).toBe("two:x")
    expect(await a.say("y")).toBe("one:y")
    expect(await b.say("y")).toBe("two:y")
  })

  test("a client whose backend is gone is given another", async () => {
    const [front, back] = await twoPorts()
    await udpBackend("127.0.10.1", back, "one")
    await udpBackend("127.0.10.2", back, "two")
    await session.publish(published(front, back, ["127.0.10.1"], "udp"))
    const a = client("udp4", front)
    expect(await a.say("x")).toBe("one:x")
    await session.publish(published(front, back, ["127.0.10.2"], "udp"))
    expect(await a.say("y")).toBe("two:y")
  })

  test("a backend that nobody listens on is left for another", async () => {
    const [front, back] = await twoPorts()
    await udpBackend("127.0.10.2", back, "two")
    await session.publish(published(front, back, ["127.0.10.1", "127.0.10.2"], "udp"))
    const a = client("udp4", front)
    expect(await a.say("x")).toBe("two:x")
  })
})

describe("the table", () => {
  test("a port that another process holds is a problem of its own, with the holder's name", async () => {
    const [front, back] = await twoPorts()
    const taken = await freePort()
    const holder = net.createServer()
    await new Promise<void>((resolve) => holder.listen(taken, "127.0.0.1", resolve))
    await backend("127.0.10.1", back, says("fine"))
    const problems = await session.publish(
      published(front, back, ["127.0.10.1"]),
      published(taken, back, ["127.0.10.1"])
    )
    expect(problems).toEqual([
      {
        protocol: "tcp",
        publishedPort: taken,
        message: `Port ${taken}/tcp of this node is in use by ${ownName} (pid ${process.pid})`
      }
    ])
    expect(await call(front)).toBe("fine")

    // When the holder lets go, the port is opened without anyone asking again.
    await new Promise((resolve) => holder.close(resolve))
    await until("the port answers", async () => (await call(taken)) === "fine")
  })

  test("a UDP port that another process holds is a problem too", async () => {
    const port = await freePort()
    const holder = dgram.createSocket("udp4")
    await new Promise<void>((resolve) => holder.bind(port, "0.0.0.0", resolve))
    endings.push(() => holder.close())
    const problems = await session.publish(published(port, 1, [], "udp"))
    expect(problems[0]?.message).toBe(
      `Port ${port}/udp of this node is in use by ${ownName} (pid ${process.pid})`
    )
  })

  test("two services on one port: the first has it", async () => {
    const [front, back] = await twoPorts()
    const problems = await session.publish(published(front, back, []), {
      ...published(front, back, []),
      serviceId: "s2",
      serviceName: "shop"
    })
    expect(problems).toEqual([
      {
        protocol: "tcp",
        publishedPort: front,
        message: `Port ${front}/tcp is published by service web already`
      }
    ])
  })

  test("a bad table is refused with words, and the last one stays", async () => {
    const [front, back] = await twoPorts()
    await backend("127.0.10.1", back, says("kept"))
    await session.publish(published(front, back, ["127.0.10.1"]))
    const bad = { ...published(front, back, []), publishedPort: 70_000 }
    expect(session.publish(bad)).rejects.toThrow(
      "ports[0].publishedPort is 70000: expected a port from 1 to 65535"
    )
    await session.publish(bad).catch(() => {})
    expect(await call(front)).toBe("kept")
  })

  test("socket and table are their owner's alone", async () => {
    await session.publish()
    expect(statSync(join(shared.runDir, "data-plane.sock")).mode & 0o777).toBe(0o600)
    expect(statSync(join(shared.dataDir, "data-plane", "table.json")).mode & 0o777).toBe(0o600)
  })
})

describe("the process", () => {
  const begin = async (): Promise<{ at: ReturnType<typeof place>; first: Session }> => {
    const at = place()
    endings.push(() => rmSync(join(at.dataDir, ".."), { recursive: true, force: true }))
    endings.push(() => Effect.runPromise(stopDataPlane(at)))
    const first = await open(at)
    endings.push(first.leave)
    return { at, first }
  }

  test("kill -9 of the process: it is back with its table", async () => {
    const { first } = await begin()
    const [front, back] = await twoPorts()
    await backend("127.0.10.1", back, says("back"))
    await first.publish(published(front, back, ["127.0.10.1"]))
    const killed = await identify(first)
    process.kill(killed.pid, "SIGKILL")
    const since = performance.now()
    await until("it answers again", async () => !isAlive(killed) && (await call(front)) === "back")
    console.log(
      `kill -9 of the data plane: its ports answered again after ${(performance.now() - since).toFixed(0)} ms`
    )
    expect((await identify(first)).pid).not.toBe(killed.pid)
    // A table published while it was away arrives.
    process.kill((await identify(first)).pid, "SIGKILL")
    expect(await first.publish()).toEqual([])
    expect(await call(front)).toBe("ECONNREFUSED")
  })

  test("a process that starts anew goes on with its last table before any daemon says a word", async () => {
    const { at, first } = await begin()
    const [front, back] = await twoPorts()
    await backend("127.0.10.1", back, says("as before"))
    await first.publish(published(front, back, ["127.0.10.1"]))
    const before = await identify(first)
    await first.leave()
    process.kill(before.pid, "SIGKILL")
    await until("it is gone", () => !isAlive(before))
    const second = await open(at)
    endings.push(second.leave)
    expect(await call(front)).toBe("as before")
    // Whose ports these are, and which of them stay, it is not told yet.
    expect(await Effect.runPromise(Effect.flip(second.plane.count))).toMatchObject({ _tag: "DataPlaneError" })
    await second.publish()
    expect(await Effect.runPromise(second.plane.count)).toEqual(nothingLed)
  })

  test("it stays when its daemon stops, and the next one takes it over", async () => {
    const { at, first } = await begin()
    const [front, back] = await twoPorts()
    await backend("127.0.10.1", back, says("on"))
    await first.publish(published(front, back, ["127.0.10.1"]))
    const before = await identify(first)
    await first.leave()
    expect(await call(front)).toBe("on")
    const second = await open(at)
    endings.push(second.leave)
    expect(await identify(second)).toEqual(before)
    expect(await call(front)).toBe("on")
  })

  test("kill -9 of the daemon breaks no connection", async () => {
    const at = place()
    endings.push(() => rmSync(join(at.dataDir, ".."), { recursive: true, force: true }))
    endings.push(() => Effect.runPromise(stopDataPlane(at)))
    const [front, back] = await twoPorts()
    await backend("127.0.10.1", back, (socket) => void socket.pipe(socket))
    const file = new URL("../actors/drivers/data-plane/daemon-process.ts", import.meta.url).pathname
    const table = JSON.stringify([published(front, back, ["127.0.10.1"])])
    const daemon = spawn(process.execPath, [file, at.dataDir, at.runDir, table], {
      stdio: ["ignore", "pipe", "inherit"]
    })
    endings.push(() => daemon.kill("SIGKILL"))
    await new Promise((resolve) => daemon.stdout.once("data", resolve))
    const socket = net.connect({ port: front, host: "127.0.0.1" })
    endings.push(() => socket.destroy())
    let heard = ""
    socket.on("data", (chunk) => {
      heard += chunk
    })
    socket.write("before ")
    await until("it is live", () => heard === "before ")
    daemon.kill("SIGKILL")
    await new Promise((resolve) => daemon.once("exit", resolve))
    socket.write("after")
    await until("it goes on", () => heard === "before after")
    expect(await call(front, "127.0.0.1", "new")).toBe("new")
    const next = await open(at)
    endings.push(next.leave)
    socket.write(" and on")
    await until("it goes on still", () => heard === "before after and on")
  })

  test("one that hangs is replaced by the next daemon", async () => {
    const { at, first } = await begin()
    const hung = await identify(first)
    await first.leave()
    process.kill(hung.pid, "SIGSTOP")
    const second = await open(at)
    endings.push(second.leave)
    expect(isAlive(hung)).toBe(false)
    expect((await identify(second)).pid).not.toBe(hung.pid)
  }, 60_000)

  test("one whose socket was swept away is found by pid and start time", async () => {
    const { at, first } = await begin()
    const lost = await identify(first)
    await first.leave()
    rmSync(join(at.runDir, "data-plane.sock"))
    const second = await open(at)
    endings.push(second.leave)
    expect(isAlive(lost)).toBe(false)
  })

  test("stopping it ends it and leaves nothing listening", async () => {
    const { at, first } = await begin()
    const [front, back] = await twoPorts()
    await first.publish(published(front, back, []))
    const running = await identify(first)
    await first.leave()
    await Effect.runPromise(stopDataPlane(at))
    expect(isAlive(running)).toBe(false)
    expect(existsSync(join(at.runDir, "data-plane.sock"))).toBe(false)
    expect(await call(front)).toBe("ECONNREFUSED")
    // Nothing to stop is not an error.
    await Effect.runPromise(stopDataPlane(at))
  })

  test("a socket path that the system cannot take is said so", async () => {
    const at = { ...shared, runDir: join(tmpdir(), "x".repeat(120)) }
    expect(open(at)).rejects.toThrow("is longer than the 107 bytes")
  })

  test("it takes little memory", async () => {
    const { first } = await begin()
    const { pid } = await identify(first)
    const rss = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]
    console.log(`data plane at rest: ${(Number(rss) / 1024).toFixed(0)} MB resident`)
    expect(Number(rss)).toBeLessThan(100 * 1024)
  })
})

test("on a disk that is full it says that it is", async () => {
  const at = place()
  mkdirSync(at.dataDir, { recursive: true })
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", at.dataDir])
  endings.push(() => {
    execFileSync("umount", [at.dataDir])
    rmSync(join(at.dataDir, ".."), { recursive: true, force: true })
  })
  mkdirSync(join(at.dataDir, "data-plane"))
  expect(() => writeFileSync(join(at.dataDir, "fill"), Buffer.alloc(1 << 20))).toThrow("ENOSPC")
  await expect(open(at)).rejects.toThrow(`the disk of ${at.dataDir}/data-plane is full`)
})

test("that of a node whose place another has is found by the node's name", async () => {
  const at = place()
  const { leave } = await open(at)
  endings.push(async () => {
    await Effect.runPromise(stopDataPlane(at))
    rmSync(join(at.dataDir, ".."), { recursive: true, force: true })
  })
  await leave()
  const [clusterId, nodeId] = ["cluster", "former-node"]
  writeFileSync(join(at.dataDir, "identity.json"), JSON.stringify({ clusterId, nodeId }))
  expect(dataPlanesOf({ clusterId, nodeId })).toEqual([at])
  expect(dataPlanesOf({ clusterId, nodeId: "other-node" })).toEqual([])
})
