/** A unix socket in front of an Engine's that counts what is asked, by method and kind of path. */
import { connect, createServer, type Socket } from "node:net"

export interface CountingProxy {
  /** For `--docker-host`. */
  readonly host: string
  /** Requests so far, as `POST /containers/{id}/start` → how many. */
  readonly counts: () => ReadonlyMap<string, number>
  readonly reset: () => void
  readonly close: () => void
}

/** What a path names is left out: `/v1.41/containers/5f0c/json?x=y` is `/containers/{id}/json`. */
const kindOf = (method: string, target: string): string => {
  const [path = ""] = target.replace(/^\/v\d+\.\d+/, "").split("?")
  const [, resource = "", name, ...rest] = path.split("/")
  const isVerb = name === undefined || ["json", "create", "prune"].includes(name)
  return [
    method,
    `/${[resource, ...(name === undefined ? [] : [isVerb ? name : "{id}"]), ...rest].join("/")}`
  ].join(" ")
}

/** Listens at `socket` and hands everything on to the Engine's `target`, both paths of unix sockets. */
export async function countingProxy(socket: string, target: string): Promise<CountingProxy> {
  const counts = new Map<string, number>()
  const open = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(target)
    for (const one of [client, upstream]) {
      open.add(one)
      one.on("error", () => {})
      one.on("close", () => {
        open.delete(one)
        client.destroy()
        upstream.destroy()
      })
    }
    client.on("data", (chunk: Buffer) => {
      // A request's head begins a chunk of its own: dockerode never has two requests on their way in one connection.
      const line = /^([A-Z]+) (\S+) HTTP\/1\.1\r\n/.exec(chunk.toString("latin1", 0, 2_048))
      if (line === null) return
      const kind = kindOf(line[1] ?? "", line[2] ?? "")
      counts.set(kind, (counts.get(kind) ?? 0) + 1)
    })
    client.pipe(upstream)
    upstream.pipe(client)
  })
  await new Promise<void>((resolve) => server.listen(socket, resolve))
  return {
    host: `unix://${socket}`,
    counts: () => new Map([...counts].sort(([, a], [, b]) => b - a)),
    reset: () => counts.clear(),
    close: () => {
      server.close()
      for (const one of open) one.destroy()
    }
  }
}
