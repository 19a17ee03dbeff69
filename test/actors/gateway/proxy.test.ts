/** The pass-through against an Engine that a test makes up, byte by byte. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test"
import { Buffer } from "node:buffer"
import { mkdtemp, rm } from "node:fs/promises"
import http, { type IncomingMessage } from "node:http"
import net, { type Server, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { makeListener } from "#actors/gateway/listener.ts"
import { makeProxy } from "#actors/gateway/proxy.ts"
import { eventually } from "#test/support/engine.ts"

let folder = ""
let engineSocket = ""
let ourSocket = ""
const open: Array<{ close: () => unknown }> = []
const sockets = new Set<Socket>()

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "troupe-proxy-"))
})
afterAll(() => rm(folder, { recursive: true, force: true }))
afterEach(() => {
  for (const each of open.splice(0)) each.close()
  for (const socket of sockets) socket.destroy()
  sockets.clear()
})

let count = 0
/** An Engine that is nothing but a socket, and our door in front of it. */
async function between(engine: (socket: Socket) => void): Promise<void> {
  count += 1
  engineSocket = join(folder, `engine-${count}`)
  ourSocket = join(folder, `ours-${count}`)
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on("error", () => {})
    engine(socket)
  })
  await listening(server, engineSocket)
  await door()
}

async function door(): Promise<void> {
  const address = { _tag: "Unix" as const, path: engineSocket }
  const proxy = makeProxy({ engine: address, apiVersion: () => "1.41" })
  const self = makeProxy({ engine: { _tag: "Unix", path: ourSocket }, apiVersion: () => "1.41" })
  const own = {
    owns: (_method: string, path: string) => path === "/services",
    fetch: async (request: Request) => new Response(`ours: ${await request.text()}`)
  }
  const listener = makeListener(
    { routes: [own], proxy, engineVersion: () => "1.41", headers: () => ({ "Api-Version": "1.41" }) },
    { judge: () => ({ _tag: "In" }) },
    [],
    self
  )
  const server = http.createServer(listener.onRequest)
  server.on("upgrade", listener.onUpgrade)
  await listening(server, ourSocket)
  open.push({
    close: () => {
      proxy.close()
      self.close()
    }
  })
}

const listening = (server: Server, path: string): Promise<void> => {
  open.push(server)
  return new Promise((resolve) => server.listen(path, () => resolve()))
}

/** A connection to our door that keeps what it hears. */
function client(): Socket & { heard: () => string } {
  const socket = net.connect({ path: ourSocket, allowHalfOpen: true })
  sockets.add(socket)
  let text = ""
  socket.on("data", (part) => {
    text += part.toString("latin1")
  })
  socket.on("error", () => {})
  return Object.assign(socket, { heard: () => text })
}

/** Calls back with the head of a request and everything after it so far, each time more comes. */
function onHead(socket: Socket, heard: (head: string, rest: string) => void): void {
  let text = ""
  socket.on("data", (part) => {
    text += part.toString("latin1")
    const end = text.indexOf("\r\n\r\n")
    if (end !== -1) heard(text.slice(0, end), text.slice(end + 4))
  })
}

const hijack = (body = ""): string =>
  `POST /exec/1/start HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
const switched = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nApi-Version: 1.52\r\n\r\n"

test("path, query, headers and body arrive as they were sent, and so does the answer", async () => {
  let asked = ""
  await between((socket) =>
    onHead(socket, (head, rest) => {
      if (!rest.endsWith("0\r\n\r\n") && !rest.endsWith("tar")) return
      asked = `${head}\n${rest}`
      socket.end(
        "HTTP/1.1 201 Made\r\nX-Docker-Thing: a\r\nX-Docker-Thing: b\r\nApi-Version: 1.52\r\nContent-Length: 4\r\n\r\nfine"
      )
    })
  )
  const response = await new Promise<IncomingMessage>((resolve) => {
    const request = http.request(
      {
        socketPath: ourSocket,
        method: "PUT",
        path: "/v1.41/containers/a%2Fb/archive?path=%2Ftmp&x=%20",
        headers: { "X-Registry-Auth": "e30=", "Content-Type": "application/x-tar", "Content-Length": "3" }
      },
      resolve
    )
    request.end("tar")
  })
  expect(asked).toContain("PUT /v1.41/containers/a%2Fb/archive?path=%2Ftmp&x=%20 HTTP/1.1")
  expect(asked).toContain("X-Registry-Auth: e30=")
  expect(asked).toEndWith("tar")
  expect(response.statusCode).toBe(201)
  expect(response.statusMessage).toBe("Made")
  expect(response.headers["x-docker-thing"]).toBe("a, b")
  // Ours, whatever the Engine speaks.
  expect(response.headers["api-version"]).toBe("1.41")
  expect(await text(response)).toBe("fine")
})

const text = async (response: IncomingMessage): Promise<string> => {
  let all = ""
  for await (const part of response) all += String(part)
  return all
}

test("an Engine that is not there is named with 503", async () => {
  engineSocket = join(folder, "nothing-here")
  ourSocket = join(folder, "door-to-nothing")
  await door()
  const response = await new Promise<IncomingMessage>((resolve) =>
    http.get({ socketPath: ourSocket, path: "/containers/json" }, resolve)
  )
  expect(response.statusCode).toBe(503)
  expect(await text(response)).toContain(`Cannot connect to the Docker Engine at unix://${engineSocket}`)
  const upgrading = client()
  upgrading.write(hijack("{}"))
  await eventually(() => upgrading.heard().includes("Cannot connect"), "the hijack is refused")
  expect(upgrading.heard()).toStartWith("HTTP/1.1 503")
})

test("a hijacked connection passes body, early input and half-closes in both directions", async () => {
  let asked = ""
  let inputEnded = false
  await between((socket) => {
    onHead(socket, (head, rest) => {
      if (asked === "" && rest.length >= 2) socket.write(switched)
      asked = `${head}\n${rest}`
    })
    socket.on("end", () => {
      inputEnded = true
      // The answer to what was asked comes after the question's end.
      socket.end("output after the input's end")
    })
  })
  const cli = client()
  let ended = false
  cli.on("end", () => {
    ended = true
  })
  cli.write(`${hijack("{}")}early `)
  await eventually(() => cli.heard().includes("101 UPGRADED"), "the connection is switched")
  expect(cli.heard()).toContain("Api-Version: 1.41")
  cli.write("input")
  cli.end()
  await eventually(() => ended, "the Engine's end arrives")
  expect(inputEnded).toBe(true)
  expect(asked).toStartWith(
    "POST /exec/1/start HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp"
  )
  expect(asked).toEndWith("{}early input")
  expect(cli.heard()).toEndWith("output after the input's end")
})

test("an Engine that has said all goes on listening", async () => {
  let asked = ""
  await between((socket) =>
    onHead(socket, (_head, rest) => {
      if (asked === "") socket.end(`${switched}all there is`)
      asked = rest
    })
  )
  const cli = client()
  cli.write(hijack("{}"))
  await eventually(() => cli.heard().endsWith("all there is"), "the output arrives")
  cli.write("input")
  await eventually(() => asked.endsWith("input"), "the input arrives after the output's end")
})

test("a body that comes long after its head is still before the hijacked stream", async () => {
  let asked = ""
  await between((socket) =>
    onHead(socket, (head, rest) => {
      asked = `${head}\n${rest}`
      if (rest === "hello") socket.write(switched)
    })
  )
  const cli = client()
  cli.write(hijack("hello").slice(0, -5))
  await eventually(() => sockets.size > 0, "connected")
  cli.write("hel")
  await new Promise((resolve) => setTimeout(resolve, 30))
  cli.write("lo")
  await eventually(() => cli.heard().includes("101"), "the connection is switched")
  cli.write("stream")
  await eventually(() => asked.endsWith("hellostream"), "the stream follows the body")
})

test("when the Engine answers instead of switching, the connection ends with its answer", async () => {
  let connections = 0
  await between((socket) => {
    connections += 1
    onHead(socket, () => {
      socket.write("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}")
    })
    socket.on("end", () => socket.end())
  })
  const cli = client()
  cli.write(hijack("{}"))
  await eventually(() => cli.heard().endsWith("{}"), "the answer arrives")
  // Another request on this connection would reach the Engine past our own routes.
  cli.write("GET /services HTTP/1.1\r\nHost: docker\r\n\r\n")
  await eventually(() => cli.readableEnded, "the connection is over")
  expect(connections).toBe(1)
  expect(cli.heard()).toStartWith("HTTP/1.1 404 Not Found")
})

test("an offer of h2c on one of our own routes is not passed to the Engine", async () => {
  let reached = false
  await between(() => {
    reached = true
  })
  const cli = client()
  cli.write(
    "POST /services HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nContent-Length: 2\r\n\r\nhi"
  )
  await eventually(() => cli.heard().endsWith("ours: hi"), "our own route answers")
  expect(reached).toBe(false)
})

test("a client that leaves ends the Engine's side of a download, an upload and a hijacked stream", async () => {
  let ended = 0
  let asked = 0
  await between((socket) => {
    socket.once("data", () => {
      asked += 1
    })
    socket.on("end", () => {
      ended += 1
    })
    onHead(socket, (head) => {
      if (head.startsWith("GET")) socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
      if (head.includes("exec")) socket.write(switched)
    })
  })
  const download = client()
  download.write("GET /containers/a/logs?follow=1 HTTP/1.1\r\nHost: docker\r\n\r\n")
  await eventually(() => download.heard().includes("200 OK"), "the download begins, though there is no data")
  download.destroy()
  await eventually(() => ended === 1, "the Engine sees the download end")

  const upload = client()
  upload.write("POST /images/load HTTP/1.1\r\nHost: docker\r\nContent-Length: 1000000\r\n\r\nsome")
  await eventually(() => asked === 2, "the upload reaches the Engine")
  upload.destroy()
  await eventually(() => ended === 2, "the Engine sees the upload end")

  const stream = client()
  stream.write(hijack("{}"))
  await eventually(() => stream.heard().includes("101"), "the stream is switched")
  stream.destroy()
  await eventually(() => ended === 3, "the Engine sees the stream end")
})

test("an Engine that dies in the middle breaks the client's download off, it does not end it well", async () => {
  await between((socket) =>
    onHead(socket, () => {
      socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n")
      setTimeout(() => socket.destroy(), 50)
    })
  )
  const cli = client()
  let closed = false
  cli.on("close", () => {
    closed = true
  })
  cli.on("end", () => cli.end())
  cli.write("GET /images/x/get HTTP/1.1\r\nHost: docker\r\n\r\n")
  await eventually(() => closed, "the connection is closed")
  expect(cli.heard()).toContain("part")
  expect(cli.heard()).not.toEndWith("0\r\n\r\n")
})

test("whoever reads slowly is sent slowly, in both directions", async () => {
  const many = Buffer.alloc(64 * 1024)
  let sent = 0
  let taken = 0
  await between((socket) =>
    onHead(socket, (head) => {
      if (head.startsWith("GET") && sent === 0) {
        socket.write("HTTP/1.1 200 OK\r\n\r\n")
        const more = (): void => {
          while (sent < 512 * 1024 * 1024) {
            sent += many.length
            if (!socket.write(many)) {
              socket.once("drain", more)
              return
            }
          }
        }
        more()
      } else if (head.startsWith("POST")) {
        socket.pause()
      }
    })
  )
  const reader = net.connect({ path: ourSocket })
  sockets.add(reader)
  reader.on("error", () => {})
  reader.once("readable", () => {})
  reader.write("GET /images/x/get HTTP/1.1\r\nHost: docker\r\n\r\n")
  await eventually(() => sent > 0, "the download begins")
  await steady(() => sent)
  // Sockets' and streams' buffers, of which there are a few on the way; far from all of it.
  expect(sent).toBeLessThan(64 * 1024 * 1024)
  reader.destroy()

  const writer = net.connect({ path: ourSocket })
  sockets.add(writer)
  writer.on("error", () => {})
  writer.write("POST /images/load HTTP/1.1\r\nHost: docker\r\nContent-Length: 536870912\r\n\r\n")
  const more = (): void => {
    while (taken < 512 * 1024 * 1024) {
      taken += many.length
      if (!writer.write(many)) {
        writer.once("drain", more)
        return
      }
    }
  }
  more()
  await steady(() => taken)
  expect(taken).toBeLessThan(64 * 1024 * 1024)
})

/** Waits until a count has stopped growing for a fifth of a second. */
async function steady(count: () => number): Promise<void> {
  let last = -1
  while (count() !== last) {
    last = count()
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}
