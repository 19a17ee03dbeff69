/** A registry of one image on 127.0.0.1, which Engines ask without TLS; it can want a password, or stay silent. */
import { execFileSync } from "node:child_process"
import { createHash, randomBytes } from "node:crypto"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import http from "node:http"
import net, { type AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { gzipSync } from "node:zlib"

export interface TestRegistry {
  /** `127.0.0.1:41234` */
  readonly host: string
  /** `127.0.0.1:41234/team/app` */
  readonly image: string
  /** `sha256:…` of its manifest */
  readonly digest: string
  /** How often the manifest was asked for. */
  readonly asked: () => number
  readonly close: () => Promise<void>
}

const digestOf = (bytes: Buffer): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`

/** Serves `team/app` under every tag; with `password`, to user `ada` only. */
export async function openRegistry(options: { readonly password?: string } = {}): Promise<TestRegistry> {
  const folder = mkdtempSync(join(tmpdir(), "troupe-registry-"))
  writeFileSync(join(folder, "mark"), randomBytes(8).toString("hex"))
  const archive = execFileSync("tar", ["-C", folder, "-c", "mark"])
  rmSync(folder, { recursive: true })
  const layer = gzipSync(archive)
  const config = Buffer.from(
    JSON.stringify({
      architecture: process.arch === "arm64" ? "arm64" : "amd64",
      os: "linux",
      config: { Cmd: ["none"] },
      rootfs: { type: "layers", diff_ids: [digestOf(archive)] }
    })
  )
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: "application/vnd.docker.distribution.manifest.v2+json",
      config: part("application/vnd.docker.container.image.v1+json", config),
      layers: [part("application/vnd.docker.image.rootfs.diff.tar.gzip", layer)]
    })
  )
  const blobs = new Map([config, layer].map((bytes) => [digestOf(bytes), bytes]))
  const wanted =
    options.password === undefined
      ? undefined
      : `Basic ${Buffer.from(`ada:${options.password}`).toString("base64")}`
  let asked = 0
  const server = http.createServer((request, response) => {
    if (wanted !== undefined && request.headers.authorization !== wanted) {
      response.writeHead(401, { "WWW-Authenticate": 'Basic realm="test"' })
      response.end('{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}')
      return
    }
    const [, kind, reference = ""] =
      /^\/v2\/team\/app\/(manifests|blobs)\/(.+)$/.exec(request.url ?? "") ?? []
    if (kind === "manifests") {
      asked++
      response.writeHead(200, {
        "Content-Type": "application/vnd.docker.distribution.manifest.v2+json",
        "Docker-Content-Digest": digestOf(manifest),
        "Content-Length": manifest.length
      })
      response.end(request.method === "HEAD" ? undefined : manifest)
      return
    }
    const blob = blobs.get(reference)
    response.writeHead(kind === undefined || blob ? 200 : 404)
    response.end(blob)
  })
  const address = await listen(server)
  return {
    host: address,
    image: `${address}/team/app`,
    digest: digestOf(manifest),
    asked: () => asked,
    close: () => shut(server)
  }
}

/** Takes connections and never says a word. */
export async function openSilence(): Promise<{
  readonly host: string
  readonly asked: () => number
  /** Connections that still wait for a word. */
  readonly waiting: () => number
  readonly close: () => Promise<void>
}> {
  const sockets = new Set<net.Socket>()
  let asked = 0
  const server = net.createServer((socket) => {
    asked++
    sockets.add(socket)
    socket.on("error", () => {})
    // Read, or its end would never be noticed.
    socket.resume()
    socket.on("close", () => sockets.delete(socket))
  })
  const host = await listen(server)
  return {
    host,
    asked: () => asked,
    waiting: () => sockets.size,
    close: () => {
      for (const socket of sockets) socket.destroy()
      return shut(server)
    }
  }
}

const part = (mediaType: string, bytes: Buffer) => ({
  mediaType,
  size: bytes.length,
  digest: digestOf(bytes)
})

const listen = (server: net.Server): Promise<string> =>
  new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve(`127.0.0.1:${(server.address() as AddressInfo).port}`))
  })

const shut = (server: net.Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve())
    if (server instanceof http.Server) server.closeAllConnections()
  })
