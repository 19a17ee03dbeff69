/** The HTTP entrance with the real haproxy: led by tables alone, and under a daemon whose tasks come and go under load. */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { execFile } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs"
import type { Server } from "node:http"
import http from "node:http"
import http2 from "node:http2"
import net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import tls from "node:tls"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { Effect } from "effect"
import { type EntranceOptions, startEntrance, stopEntrance } from "#actors/drivers/entrance/live.ts"
import type { EntranceCounts } from "#actors/drivers/entrance.ts"
import { identityOf } from "#actors/drivers/machine/process-identity.ts"
import { latencyBounds } from "#actors/meter/figures.ts"
import { mostHttpRoutes } from "#actors/model/http-route.ts"
import type { ServiceRow } from "#actors/network/table.ts"
import type { AssignedFile } from "#actors/node/protocol.ts"
import { Load } from "#test/lab/load.ts"
import { type Cluster, startCluster } from "#test/support/cluster.ts"
import { type Echo, serveEcho } from "#test/support/echo-app.ts"
import { ensureTestImage, eventually, testImage } from "#test/support/engine.ts"
import { overlayTable } from "#test/support/overlay-table.ts"
import { startPebble } from "#test/support/pebble.ts"
import { type Site, siteCertificate } from "#test/support/site-certificate.ts"

setDefaultTimeout(90_000)

const port = 18_480
const appPort = 18_481
const tlsPort = 18_483
const root = fileURLToPath(new URL("../..", import.meta.url))

const get = (path: string, headers: Record<string, string>, agent = new http.Agent()): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const request = http.get({ host: "127.0.0.1", port, path, headers, agent }, (response) => {
      let text = ""
      response.on("data", (part) => {
        text += String(part)
      })
      response.on("end", () => {
        agent.destroy()
        resolve({ status: response.statusCode ?? 0, text, location: response.headers.location })
      })
    })
    request.on("error", reject)
  })
interface Answer {
  readonly status: number
  readonly text: string
  readonly location: string | undefined
}
const echo = async (path: string, headers: Record<string, string> = { host: "app" }): Promise<Echo> =>
  JSON.parse((await get(path, headers)).text)

/** A connection by TLS to a host, which must show this certificate. */
const secure = (ca: string, servername = "app", ALPNProtocols = ["http/1.1"]): Promise<tls.TLSSocket> =>
  new Promise((resolve, reject) => {
    const socket = tls.connect({ host: "127.0.0.1", port: tlsPort, servername, ca, ALPNProtocols })
    socket.once("secureConnect", () => resolve(socket))
    socket.once("error", reject)
  })

/** Sends a request over it, and yields the answer once it is whole. */
async function ask(socket: tls.TLSSocket, path = "/"): Promise<Echo> {
  let text = ""
  const listen = (part: Buffer): void => {
    text += part.toString()
  }
  socket.on("data", listen)
  socket.write(`GET ${path} HTTP/1.1\r\nHost: app\r\n\r\n`)
  await eventually(() => text.endsWith("}"), "it is answered")
  socket.off("data", listen)
  return JSON.parse(text.slice(text.indexOf("\r\n\r\n")))
}

const row = (
  serviceId: string,
  path: string,
  addresses: ReadonlyArray<string>,
  protocol: "http1" | "h2c" = "http1",
  awaits?: "task" | "caller"
): ServiceRow => ({
  ...(awaits && { awaits }),
  serviceId,
  name: serviceId,
  aliases: [],
  vips: [],
  ports: [],
  http: { host: "app", path, port: appPort, protocol },
  tasks: addresses.map((address) => ({
    taskId: address.replaceAll(".", "x"),
    nodeId: "n1",
    name: address,
    addresses: [address],
    serving: true
  }))
})

describe("by tables", () => {
  let folder: string
  let options: EntranceOptions
  const servers: Array<Server | http2.Http2Server> = []
  let secrets: ReadonlyArray<AssignedFile> = []
  const secured = (redirect = true): ServiceRow => {
    const plain = row("web", "/", ["127.0.0.2"])
    return { ...plain, ...(plain.http && { http: { ...plain.http, tls: { secret: "cert", redirect } } }) }
  }
  /** Shows it for the host, by the secret of that name. */
  const show = async ({ data }: Site, redirect = true): Promise<void> => {
    secrets = [{ id: data, name: "cert", data }]
    await serve(secured(redirect))
  }
  const pid = (): number => JSON.parse(readFileSync(join(folder, "entrance/process.json"), "utf8")).pid
  const serve = async (...services: ReadonlyArray<ServiceRow>): Promise<void> => {
    const entrance = await Effect.runPromise(startEntrance(options))
    expect(await Effect.runPromise(entrance.serve([overlayTable({ services })], secrets))).toEqual([])
  }
  beforeAll(async () => {
    // Not before: where `-t` leaves all of these out, nobody would take it away.
    folder = mkdtempSync(join(tmpdir(), "troupe-entrance-"))
    options = { dataDir: folder, runDir: join(folder, "run"), ports: [port], tlsPorts: [tlsPort] }
    for (const [address, name, protocol] of [
      ["127.0.0.2", "web", "http1"],
      ["127.0.0.3", "api", "http1"],
      ["127.0.0.4", "grpc", "h2c"]
    ] as const) {
      const server = serveEcho(appPort, name, protocol, address)
      servers.push(server)
      await new Promise((resolve) => server.once("listening", resolve))
    }
  })
  const count = async (): Promise<EntranceCounts | undefined> =>
    Effect.runPromise((await Effect.runPromise(startEntrance(options))).count)
  afterEach(() =>
    eventually(async () => {
      await serve()
      return (await count())?.services.size === 0
    }, "no service has a backend")
  )
  afterAll(async () => {
    await Effect.runPromise(stopEntrance(options))
    for (const server of servers) server.close()
    rmSync(folder, { recursive: true, force: true })
  })

  test("host and longest path decide, by whole parts of the path; what is nobody's is 404", async () => {
    await serve(row("web", "/", ["127.0.0.2"]), row("api", "/api/", ["127.0.0.3"]))
    const names = await Promise.all(["/", "/apis", "/api", "/api?x=1", "/api/v1"].map((path) => echo(path)))
    expect(names.map(({ name }) => name)).toEqual(["web", "web", "api", "api", "api"])
    expect((await echo("/api", { host: "APP:80" })).name).toBe("api")
    expect((await get("/", { host: "other" })).status).toBe(404)
    await serve(row("api", "/api/", ["127.0.0.3"]))
    expect((await get("/", { host: "app" })).status).toBe(404)
  })

  test("tasks hear who asked, and by what; not what the client says of that", async () => {
    await serve(row("web", "/", ["127.0.0.2"]))
    const { headers } = await echo("/", {
      host: "app:1234",
      "x-forwarded-for": "1.2.3.4",
      "x-forwarded-proto": "https"
    })
    expect(headers).toMatchObject({
      "x-forwarded-for": expect.stringMatching(/^(::ffff:)?127\.0\.0\.1$/),
      "x-forwarded-proto": "http",
      "x-forwarded-host": "app:1234"
    })
  })

  test("a WebSocket goes through, both ways", async () => {
    await serve(row("web", "/", ["127.0.0.2"]))
    const socket = net.connect(port, "127.0.0.1")
    let text = ""
    socket.on("data", (part) => {
      text += String(part)
    })
    socket.write(
      "GET /ws HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await eventually(() => text.startsWith("HTTP/1.1 101") && text.includes("\r\n\r\n"), "it is upgraded")
    socket.write("hello")
    await eventually(() => text.endsWith("hello"), "it is echoed")
    socket.destroy()
  })

  test("HTTP/2 is taken without TLS, and spoken to tasks whose service says so", async () => {
    await serve(row("web", "/", ["127.0.0.2"]), row("grpc", "/grpc/", ["127.0.0.4"], "h2c"))
    const session = http2.connect(`http://127.0.0.1:${port}`)
    const ask = (path: string): Promise<Echo> =>
      new Promise((resolve, reject) => {
        const stream = session.request({ ":path": path, ":authority": "app" })
        let text = ""
        stream.on("data", (part) => {
          text += String(part)
        })
        stream.on("end", () => resolve(JSON.parse(text)))
        stream.on("error", reject)
      })
    const both = await Promise.all([ask("/grpc/Say"), ask("/")])
    session.destroy()
    expect(both.map(({ name, version }) => `${name} ${version}`)).toEqual(["grpc 2.0", "web 1.1"])
  })

  test("where nobody listens, another task is asked, also for what must not be sent twice", async () => {
    await serve(row("web", "/", ["127.0.0.2", "127.0.0.9"]))
    const load = new Load([{ host: "127.0.0.1", port }], 400, 5_000, 4)
    await eventually(() => load.answered > 100, "the load flows")
    expect((await load.end()).failures).toEqual([])
  })

  test("by TLS a host shows the certificate in its secret, which no disk has; without TLS it is led there", async () => {
    const site = await siteCertificate(["app"])
    await show(site)
    const socket = await secure(site.certificate, "app", ["h2", "http/1.1"])
    expect(socket.alpnProtocol).toBe("h2")
    socket.destroy()
    const one = await secure(site.certificate)
    const { name, headers } = await ask(one)
    one.destroy()
    expect([name, headers["x-forwarded-proto"], headers["x-forwarded-host"]]).toEqual(["web", "https", "app"])
    await expect(secure(site.certificate, "other")).rejects.toThrow()
    const moved = await get("/a?b=c", { host: "app:1234" })
    expect([moved.status, moved.location]).toEqual([308, `https://app:${tlsPort}/a?b=c`])
    await show(site, false)
    expect((await echo("/")).headers["x-forwarded-proto"]).toBe("http")
    for (const file of readdirSync(folder, { recursive: true, withFileTypes: true }))
      if (file.isFile())
        expect(readFileSync(join(file.parentPath, file.name), "utf8")).not.toContain("PRIVATE")
    await serve(row("web", "/", ["127.0.0.2"]))
    await expect(secure(site.certificate)).rejects.toThrow()
  })

  test("another certificate takes the place of one without a connection that breaks, or cannot begin", async () => {
    const sites = await Promise.all([1, 2, 3, 4, 5].map(() => siteCertificate(["app"])))
    const all = sites.map(({ certificate }) => certificate).join("")
    const [first] = sites
    if (first === undefined) throw new Error("there are five")
    await show(first)
    const kept = await secure(first.certificate)
    let isOver = false
    let begun = 0
    const beginning = (async () => {
      while (!isOver) {
        ;(await secure(all)).destroy()
        begun += 1
      }
    })()
    for (const site of sites) {
      const before = begun
      await show(site)
      ;(await secure(site.certificate)).destroy()
      expect((await ask(kept)).name).toBe("web")
      await eventually(() => begun > before + 5, "others begin")
    }
    isOver = true
    await beginning
    kept.destroy()
  })

  test("a task that leaves gets no new request, and finishes those that it has", async () => {
    await serve(row("web", "/", ["127.0.0.2"]))
    const socket = net.connect(port, "127.0.0.1")
    let text = ""
    socket.on("data", (part) => {
      text += String(part)
    })
    const underWay = new Promise((resolve) => servers[0]?.once("request", resolve))
    socket.write("POST /slow HTTP/1.1\r\nHost: app\r\nContent-Length: 4\r\n\r\nwo")
    await underWay
    await serve(row("web", "/", []))
    expect((await get("/", { host: "app" })).status).toBe(503)
    socket.write("rk")
    await eventually(() => text.includes('"path":"/slow"'), "it is answered")
    expect(text).toContain('"name":"web"')
    socket.destroy()
  })

  test("a request waits for a task that will come, is seen to wait, and is counted once it is answered", async () => {
    const entrance = await Effect.runPromise(startEntrance(options))
    const waiting = () => Effect.runPromise(entrance.waiting)
    const fast = (counts: EntranceCounts | undefined): number => {
      const took = counts?.tasks.get("127x0x0x2")?.took ?? []
      return took.slice(0, latencyBounds.indexOf(2_000)).reduce((sum, count) => sum + count, 0)
    }
    await serve(row("web", "/", ["127.0.0.2"]))
    const first = await count()
    const before = first?.services.get("web")?.asked ?? 0
    await serve(row("web", "/", [], "http1", "caller"))
    expect([...(await waiting())]).toEqual([])
    const since = performance.now()
    const asked = Promise.all([get("/", { host: "app" }), get("/", { host: "app" })])
    await eventually(async () => (await waiting()).has("web"), "somebody waits")
    await eventually(async () => (await count())?.services.get("web")?.asked === before + 2, "both are seen")
    expect((await count())?.services.get("web")).toEqual({ asked: before + 2, inflight: 2 })
    // That is no part of what the task takes.
    await eventually(() => performance.now() - since > 3_000, "they have waited for long")
    await serve(row("web", "/", ["127.0.0.2"], "http1", "task"))
    expect((await asked).map(({ status }) => status)).toEqual([200, 200])
    await eventually(async () => (await waiting()).size === 0, "nobody waits")
    const counts = await count()
    expect(counts?.services.get("web")).toEqual({ asked: before + 2, inflight: 0 })
    const task = counts?.tasks.get("127x0x0x2")
    expect(task).toMatchObject({ serviceId: "web", asked: 2, inflight: 0, statuses: [0, 2, 0, 0, 0] })
    expect(fast(counts) - fast(first)).toBe(2)
  })

  test("as many services as it has room for are led to and counted; the next one is named", async () => {
    const entrance = await Effect.runPromise(startEntrance(options))
    const names = Array.from({ length: mostHttpRoutes }, (_, at) => `s${String(at).padStart(4, "0")}`)
    const services = [...names, "t"].map((name) => row(name, `/${name}`, ["127.0.0.2"]))
    expect(await Effect.runPromise(entrance.serve([overlayTable({ services })], secrets))).toEqual([
      expect.stringMatching(/^service t gets no requests: /)
    ])
    const before = (await count())?.services
    for (const name of names) expect((await echo(`/${name}`)).path).toBe(`/${name}`)
    const after = (await count())?.services
    expect(names.filter((name) => after?.get(name)?.asked !== (before?.get(name)?.asked ?? 0) + 1)).toEqual(
      []
    )
  })

  test("what waits for a task that will not come any more is told so", async () => {
    await serve(row("web", "/", [], "http1", "task"))
    const asked = get("/", { host: "app" })
    const entrance = await Effect.runPromise(startEntrance(options))
    await eventually(async () => (await Effect.runPromise(entrance.waiting)).has("web"), "somebody waits")
    await serve(row("web", "/", []))
    expect(await asked).toMatchObject({ status: 503, text: "no task of the service serves\n" })
  })

  test("the next daemon goes on with the haproxy that runs, and starts one where it was killed", async () => {
    await serve(row("web", "/", ["127.0.0.2"]))
    const first = pid()
    await serve(row("web", "/", ["127.0.0.2"]))
    expect(pid()).toBe(first)
    process.kill(first, "SIGKILL")
    await eventually(
      () =>
        get("/", { host: "app" }).then(
          () => false,
          () => true
        ),
      "it is gone"
    )
    await eventually(() => identityOf(first) === undefined, "its process has ended")
    await serve(row("web", "/", ["127.0.0.2"]))
    expect(pid()).not.toBe(first)
    expect((await echo("/")).name).toBe("web")
  })

  test("a node whose data directory is lost ends the haproxy that it had, and has its ports again", async () => {
    const first = pid()
    rmSync(join(options.dataDir, "entrance"), { recursive: true })
    await serve(row("web", "/", ["127.0.0.2"]))
    expect(identityOf(first)).toBeUndefined()
    expect((await echo("/")).name).toBe("web")
  })

  test("a port that another holds, and nothing else, keeps a node from starting", async () => {
    const holder = net.createServer().listen(port + 2, "0.0.0.0")
    await new Promise((resolve) => holder.once("listening", resolve))
    const other = {
      dataDir: join(folder, "other"),
      runDir: join(folder, "o"),
      ports: [port + 2],
      tlsPorts: []
    }
    const result = await Effect.runPromise(Effect.result(startEntrance(other)))
    holder.close()
    expect(result).toMatchObject({ failure: { message: expect.stringContaining("cannot bind socket") } })
  })
})

describe("under a daemon", () => {
  let cluster: Cluster
  beforeAll(async () => {
    await ensureTestImage()
    cluster = await startCluster({
      args: ["--http-entrance", `${port}`, "--http-entrance-tls", `${tlsPort}`]
    })
  })
  afterAll(() => cluster.cleanUp())

  test("an update and a killed daemon lose no request, and a route belongs to one service", async () => {
    const app = ["chroot", "/machine", realpathSync(process.execPath), join(root, "test/support/echo-app.ts")]
    const labels = ["--label", "troupe.http.host=app", "--label", `troupe.http.port=${appPort}`]
    await cluster.must(
      ...["service", "create", "--name", "web", "--replicas", "2", ...labels],
      ...["--mount", "type=bind,source=/,target=/machine,readonly"],
      ...["--health-cmd", `wget -qO- http://127.0.0.1:${appPort}/`, "--health-interval", "200ms"],
      ...["--health-start-period", "60s"],
      ...["--update-order", "start-first", "--update-monitor", "200ms"],
      ...[testImage, ...app, `${appPort}`, "web"]
    )
    await eventually(async () => (await get("/", { host: "app" })).status === 200, "it answers")
    const load = new Load([{ host: "127.0.0.1", port }], 100)
    await eventually(() => load.answered > 50, "the load flows")
    await cluster.must("service", "update", "--force", "web")
    await cluster.kill9()
    const before = load.answered
    await eventually(() => load.answered > before + 50, "the load flows on without a daemon")
    await cluster.restart()
    await cluster.must("service", "scale", "web=1")
    const { failures } = await load.end()
    expect(failures).toEqual([])

    const taken = await cluster.docker("service", "create", "--name", "other", ...labels, testImage, "true")
    expect(taken.stderr).toContain(
      `labels troupe.http.host "app", troupe.http.path "/": expected what no other service has, but service 'web' (`
    )
    await cluster.must("service", "rm", "web")
    await eventually(async () => (await get("/", { host: "app" })).status === 404, "its route is gone")
  })

  test("a certificate comes from a secret, is changed for another, and is kept while a host is shown by it", async () => {
    const [old, fresh, stale] = await Promise.all([
      siteCertificate(["app"], [-1, 90]),
      siteCertificate(["app"], [-1, 91]),
      siteCertificate(["app"], [-9, -1])
    ])
    for (const [name, { data }] of Object.entries({ old, fresh, stale }))
      await cluster.cli(["secret", "create", name, "-"], { input: Buffer.from(data, "base64") })
    const label = (secret: string) => `troupe.http.tls=${secret}`
    const create = (secret: string) =>
      cluster.docker(
        ...["service", "create", "--detach", "--name", "site", "--label", "troupe.http.host=app"],
        ...["--label", label(secret), testImage, "httpd", "-f", "-p", "80", "-h", "/bin"]
      )
    expect((await create("stale")).stderr).toContain(
      'label troupe.http.tls "stale": expected a certificate that is valid'
    )
    await create("old")
    const shows = ({ certificate }: Site) =>
      eventually(
        () =>
          secure(certificate).then(
            (socket) => !!socket.destroy(),
            () => false
          ),
        "its certificate is shown"
      )
    await shows(old)
    expect((await cluster.docker("secret", "rm", "old")).stderr).toContain(
      "secret 'old' is in use by the following service: site"
    )
    await cluster.must("service", "update", "--detach", "--label-add", label("fresh"), "site")
    await shows(fresh)
    await cluster.must("secret", "rm", "old")
    await cluster.must("service", "rm", "site")
    await cluster.must("secret", "rm", "fresh", "stale")
  })

  test("a host's certificate comes by ACME, another one where it is taken away, and what fails is said", async () => {
    const site = (name: string, host: string) =>
      cluster.docker(
        ...["service", "create", "--detach", "--name", name, "--label", `troupe.http.host=${host}`],
        ...["--label", "troupe.http.tls=acme", testImage, "httpd", "-f", "-p", "80", "-h", "/bin"]
      )
    expect((await site("shop", "shop.example")).stderr).toContain(
      'label troupe.http.tls "acme": expected an ACME account: `troupe acme use` makes one for the cluster'
    )
    const pebble = await startPebble(port)
    try {
      const program = join(root, "cli/main.ts")
      const acme = async (...words: ReadonlyArray<string>): Promise<string> => {
        const command = [program, "acme", ...words, "--socket", cluster.socket]
        return (await promisify(execFile)(process.execPath, command)).stdout
      }
      const account = ["--directory", pebble.directory, "--ca-cert", pebble.rootFile]
      await acme("use", ...account, "--agree-tos", "--email", "ops@shop.example")
      await site("shop", "shop.example")
      const issuer = await pebble.issuer()
      const isShown = (host: string) => () =>
        secure(issuer, host).then(
          (socket) => !!socket.destroy(),
          () => false
        )
      await eventually(isShown("shop.example"), "its certificate is shown", 60_000)
      expect(await acme("ls")).toMatch(/\nshop\.example +acme-shop\.example-\w{12} /)
      // One that was taken away is asked for anew.
      const [, , named = ""] = (await acme("ls")).split(/\s+/).slice(2)
      await cluster.must("secret", "rm", named)
      await eventually(async () => /acme-shop/.test(await acme("ls")), "there is another one")
      await eventually(isShown("shop.example"), "that is shown")
      pebble.stop()
      await site("odd", "odd.example")
      await eventually(
        async () =>
          (await cluster.get("/alerts")).some(({ Says }: { Says: string }) =>
            /^service odd: odd\.example gets no certificate by ACME: ./.test(Says)
          ),
        "it is said why there is none",
        60_000
      )
      await cluster.must("service", "rm", "shop", "odd")
      await acme("off")
    } finally {
      pebble.stop()
    }
  })

  test("a service without tasks begins its first one for whoever asks, at the entrance or at its port", async () => {
    const asleep = (name: string, target: string, ...more: ReadonlyArray<string>) =>
      cluster.must(
        ...["service", "create", "--detach", "--name", name, "--replicas", "0"],
        ...["--stop-grace-period", "0s", "--label", `troupe.autoscale.${target}`],
        ...["--label", "troupe.autoscale.min=0", "--label", "troupe.autoscale.max=3", ...more],
        ...[testImage, "httpd", "-f", "-p", "80", "-h", "/bin"]
      )
    await asleep("lazy", "rps=50", "--label", "troupe.http.host=lazy", "--label", "troupe.http.path=/")
    await asleep("dozy", "connections=50", "--publish", `${appPort + 1}:80`)
    let status = 404
    await eventually(async () => {
      status = (await get("/busybox", { host: "lazy" })).status
      return status !== 404
    }, "it has a route")
    expect(status).toBe(200)
    const dozy = () => fetch(`http://127.0.0.1:${appPort + 1}/busybox`).then(({ status }) => status)
    // Who comes before the port is open is turned away by the machine.
    await eventually(async () => {
      status = await dozy().catch(() => 0)
      return status !== 0
    }, "its port is open")
    expect(status).toBe(200)
    for (const name of ["lazy", "dozy"]) {
      const { Replicas, Changes } = await cluster.get(`/autoscale/${name}`)
      expect([Replicas, Changes.map(({ Why }: { Why: string }) => Why)]).toEqual([1, ["somebody asks"]])
    }
    await eventually(async () => {
      await get("/busybox", { host: "lazy" })
      const { Services } = await cluster.get("/metrics/latest")
      const lazy = Services.find(({ Name }: { Name: string }) => Name === "lazy")
      return lazy?.rps > 0 && lazy.errors === 0 && lazy.tasks === 1
    }, "its requests are counted")
  })
})
