/**
 * A CSI plugin that keeps volumes as folders and really mounts them, with controller, staging and topology. Nodes share a
 * root, as they would share storage; what is asked is written to a file, one line each, in the order of the answers.
 *
 * As a program: `bun test/support/csi-plugin.ts SOCKET ROOT NODE [ZONE]`. It ends when its standard input does, or, with
 * `CSI_ENDPOINT` set, as a plugin of the Engine, when that one says so.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { loadPackageDefinition, Server, ServerCredentials, status } from "@grpc/grpc-js"
import { loadCsi } from "#actors/drivers/volume-plugins/client.ts"

const run = promisify(execFile)
// biome-ignore lint/suspicious/noExplicitAny: whatever a test's own daemon says
type Request = any
type Answer = object | Promise<object>

class Refusal extends Error {
  readonly code: number
  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

/** What a plugin at `root` was asked so far: `NodePublishVolume data`. */
export const askedOf = (root: string): ReadonlyArray<string> => {
  const file = join(root, "asked")
  return existsSync(file) ? readFileSync(file, "utf8").trimEnd().split("\n") : []
}

/** Nodes that a volume is published to, by the plugin's own book. */
export const publishedAt = (root: string, volume: string): ReadonlyArray<string> => {
  const file = join(root, `${volume}.nodes`)
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : []
}

const isMounted = (path: string): boolean =>
  readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .some((line) => line.split(" ")[1] === path)

/** Starts the plugin as a process of its own. The caller ends it, by closing its standard input. */
export async function startCsiPlugin(
  socket: string,
  root: string,
  node: string,
  zone = ""
): Promise<ChildProcess> {
  mkdirSync(root, { recursive: true })
  mkdirSync(join(socket, ".."), { recursive: true })
  const program = fileURLToPath(import.meta.url)
  const child = spawn(process.execPath, [program, socket, root, node, zone], {
    stdio: ["pipe", "pipe", "inherit"]
  })
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once("data", () => resolve())
    child.once("exit", (code) => reject(new Error(`The plugin ended with ${code}`)))
  })
  return child
}

/**
 * Makes the plugin one of the Engine's, and enables it. It has this machine's programs and this repository by mounts; its
 * image is a few empty folders. The caller removes it: `docker plugin rm -f`.
 */
export async function installCsiPlugin(
  host: string,
  name: string,
  folder: string,
  root: string
): Promise<void> {
  const repository = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "")
  const seen = ["/usr", "/lib", "/lib64", "/bin", "/etc", repository].filter((path) => existsSync(path))
  const image = join(folder, "rootfs")
  for (const path of [
    ...seen,
    root,
    "/data/published",
    "/data/staged",
    "/run/docker/plugins",
    "/proc",
    "/tmp"
  ]) {
    mkdirSync(join(image, path), { recursive: true })
  }
  mkdirSync(root, { recursive: true })
  const bind = (path: string, ...options: ReadonlyArray<string>) => ({
    type: "bind",
    source: path,
    destination: path,
    options: ["rbind", ...options]
  })
  const socket = "csi.sock"
  const config = {
    description: "Folders as volumes",
    documentation: "",
    entrypoint: [
      process.execPath,
      fileURLToPath(import.meta.url),
      `/run/docker/plugins/${socket}`,
      root,
      "managed"
    ],
    workdir: repository,
    interface: { types: ["docker.csicontroller/1.0", "docker.csinode/1.0"], socket },
    network: { type: "host" },
    propagatedMount: "/data/published",
    mounts: [...seen.map((path) => bind(path, "ro")), bind(root)],
    env: [{ name: "CSI_ENDPOINT", value: `/run/docker/plugins/${socket}` }],
    linux: { capabilities: ["CAP_SYS_ADMIN"], allowAllDevices: false, devices: [] }
  }
  writeFileSync(join(folder, "config.json"), JSON.stringify(config))
  await run("docker", ["-H", host, "plugin", "create", name, folder])
  await run("docker", ["-H", host, "plugin", "enable", name])
}

async function serve(socket: string, root: string, node: string, zone: string): Promise<void> {
  const folderOf = (volume: string): string => join(root, volume)
  const mustExist = (volume: string): void => {
    if (!existsSync(folderOf(volume))) throw new Refusal(status.NOT_FOUND, `no volume ${volume}`)
  }
  const keepNodes = (volume: string, nodes: ReadonlyArray<string>): void =>
    writeFileSync(join(root, `${volume}.nodes`), JSON.stringify(nodes))
  const topology = zone === "" ? [] : [{ segments: { zone } }]

  const answers: Readonly<Record<string, Readonly<Record<string, (request: Request) => Answer>>>> = {
    Identity: {
      GetPluginCapabilities: () => ({
        capabilities: [{ service: { type: 1 } }, ...(zone === "" ? [] : [{ service: { type: 2 } }])]
      })
    },
    Controller: {
      ControllerGetCapabilities: () => ({ capabilities: [{ rpc: { type: 1 } }, { rpc: { type: 2 } }] }),
      CreateVolume: (request) => {
        const wants = request.parameters.password
        if (wants !== undefined && request.secrets.password !== wants) {
          throw new Refusal(status.UNAUTHENTICATED, "wrong password")
        }
        const { requisite = [] } = request.accessibility_requirements ?? {}
        mkdirSync(folderOf(request.name), { recursive: true })
        const capacity = Number(request.capacity_range?.required_bytes ?? 0)
        const place = requisite.length > 0 ? requisite : topology
        return {
          volume: {
            volume_id: request.name,
            capacity_bytes: capacity,
            volume_context: { made: "here" },
            accessible_topology: place
          }
        }
      },
      DeleteVolume: ({ volume_id: volume }) => {
        if (publishedAt(root, volume).length > 0) {
          throw new Refusal(status.FAILED_PRECONDITION, `${volume} is in use`)
        }
        rmSync(folderOf(volume), { recursive: true, force: true })
        return {}
      },
      ControllerPublishVolume: ({ volume_id: volume, node_id: to, volume_capability: capability }) => {
        mustExist(volume)
        const nodes = publishedAt(root, volume).filter((one) => one !== to)
        // CSI: SINGLE_NODE_WRITER and SINGLE_NODE_READER_ONLY.
        if (capability.access_mode.mode <= 2 && nodes.length > 0) {
          throw new Refusal(status.FAILED_PRECONDITION, `${volume} is published to ${nodes.join()}`)
        }
        keepNodes(volume, [...nodes, to])
        return { publish_context: { device: `${volume} at ${to}` } }
      },
      ControllerUnpublishVolume: ({ volume_id: volume, node_id: from }) => {
        const left = from === "" ? [] : publishedAt(root, volume).filter((one) => one !== from)
        keepNodes(volume, left)
        return {}
      }
    },
    Node: {
      NodeGetCapabilities: () => ({ capabilities: [{ rpc: { type: 1 } }] }),
      NodeGetInfo: () => ({ node_id: node, accessible_topology: zone === "" ? undefined : topology[0] }),
      NodeStageVolume: async ({ volume_id: volume, staging_target_path: path, publish_context: context }) => {
        if (context.device !== `${volume} at ${node}`) {
          throw new Refusal(status.FAILED_PRECONDITION, `${volume} is not published to ${node}`)
        }
        mkdirSync(path, { recursive: true })
        if (!isMounted(path)) await run("mount", ["--bind", folderOf(volume), path])
        return {}
      },
      NodePublishVolume: async ({ staging_target_path: from, target_path: to, readonly }) => {
        mkdirSync(to, { recursive: true })
        if (!isMounted(to)) await run("mount", ["--bind", ...(readonly ? ["-o", "ro"] : []), from, to])
        return {}
      },
      NodeUnpublishVolume: async ({ target_path: path }) => {
        if (isMounted(path)) await run("umount", [path])
        return {}
      },
      NodeUnstageVolume: async ({ staging_target_path: path }) => {
        if (isMounted(path)) await run("umount", [path])
        return {}
      }
    }
  }

  const { csi } = loadPackageDefinition(await loadCsi()) as unknown as Request
  const server = new Server()
  for (const [service, methods] of Object.entries(answers)) {
    const handlers = Object.fromEntries(
      Object.entries(methods).map(([method, answer]) => [
        method,
        ({ request }: Request, respond: (failure: object | null, said?: object) => void) => {
          const named = request.volume_id || request.name || ""
          const note = (): void =>
            appendFileSync(join(root, "asked"), `${method} ${named}`.trim().concat("\n"))
          Promise.resolve()
            .then(() => answer(request))
            .then(
              (said) => {
                if (named !== "") note()
                respond(null, said)
              },
              (error: Error) =>
                respond({
                  code: error instanceof Refusal ? error.code : status.INTERNAL,
                  details: error.message
                })
            )
        }
      ])
    )
    server.addService(csi.v1[service].service, handlers)
  }
  rmSync(socket, { force: true })
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`unix://${socket}`, ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(error)
    )
  )
  // A plugin of the Engine is ended by it.
  process.on("SIGTERM", () => process.exit(0))
  if (process.env.CSI_ENDPOINT === undefined) {
    process.stdin.resume()
    process.stdin.on("end", () => {
      rmSync(socket, { force: true })
      process.exit(0)
    })
  }
  console.log("ready")
}

if (import.meta.main) {
  const [socket = "", root = "", node = "", zone = ""] = process.argv.slice(2)
  await serve(socket, root, node, zone)
}
