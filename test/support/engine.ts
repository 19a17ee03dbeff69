/**
 * A real Docker Engine for tests: images made on the spot from busybox, names nobody else uses, and clean-up by
 * label, so that suites can share one Engine and leave nothing behind.
 */
import { execFile } from "node:child_process"
import { randomBytes } from "node:crypto"
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import process from "node:process"
import { Readable } from "node:stream"
import { promisify } from "node:util"
import Docker from "dockerode"

const run = promisify(execFile)

/** The Engine that tests use, as `DOCKER_HOST` says. */
export const dockerHost = process.env.DOCKER_HOST ?? "unix:///var/run/docker.sock"

/** Static busybox with every applet linked in `/bin`; `sh`, `httpd`, `nc`, `sleep`… all work. */
export const testImage = "troupe-test:1"

/** A dockerode client for `unix://…` or `tcp://host:port`. */
export function engine(host: string = dockerHost): Docker {
  if (host.startsWith("unix://")) return new Docker({ socketPath: host.slice("unix://".length) })
  const url = new URL(host)
  return new Docker({ host: url.hostname, port: Number(url.port), protocol: "http" })
}

/** `<prefix>-<8 hex digits>`: usable in container, network and service names. */
export const uniqueName = (prefix: string): string => `${prefix}-${randomBytes(4).toString("hex")}`

/** Makes `troupe-test:1` on that Engine unless it is there. */
export const ensureTestImage = (docker: Docker = engine()): Promise<void> => ensureImage(docker, testImage)

/** What an image of ours holds beside busybox. */
export interface ImageContent {
  /** Path in the image → content; executable when the path starts with `bin/`. */
  readonly files?: Readonly<Record<string, string>>
  /** Dockerfile instructions such as `CMD ["httpd", "-f"]` or `LABEL a=b`. */
  readonly changes?: ReadonlyArray<string>
}

/** Makes an image from busybox and `content`, unless one of that tag is there. */
export async function ensureImage(docker: Docker, tag: string, content: ImageContent = {}): Promise<void> {
  const there = await docker
    .getImage(tag)
    .inspect()
    .then(
      () => true,
      () => false
    )
  if (there) return
  const archive = await busyboxRoot(content)
  const separator = tag.lastIndexOf(":")
  const stream = (await docker.importImage(
    Readable.from(archive) as never,
    {
      repo: tag.slice(0, separator),
      tag: tag.slice(separator + 1),
      changes: ["ENV PATH=/bin", 'CMD ["sh"]', ...(content.changes ?? [])]
    } as never
  )) as unknown as NodeJS.ReadableStream
  let answer = ""
  for await (const chunk of stream) answer += String(chunk)
  if (answer.includes('"error"')) throw new Error(`Cannot make ${tag}: ${answer}`)
}

/** A root file system as tar chunks. */
async function busyboxRoot(content: ImageContent): Promise<Array<Buffer>> {
  const busybox = process.env.TROUPE_TEST_BUSYBOX ?? "/bin/busybox"
  const root = await mkdtemp(join(tmpdir(), "troupe-image-"))
  try {
    for (const folder of ["bin", "etc", "root", "run", "var/www"])
      await mkdir(join(root, folder), { recursive: true })
    await mkdir(join(root, "tmp"), { mode: 0o1777 })
    await copyFile(busybox, join(root, "bin/busybox"))
    const { stdout } = await run(busybox, ["--list"])
    for (const applet of stdout.split("\n")) {
      if (applet !== "" && applet !== "busybox") await symlink("busybox", join(root, "bin", applet))
    }
    await writeFile(
      join(root, "etc/passwd"),
      "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"
    )
    await writeFile(join(root, "etc/group"), "root:x:0:\nnobody:x:65534:\n")
    for (const [path, text] of Object.entries(content.files ?? {})) {
      const target = join(root, path)
      await mkdir(dirname(target), { recursive: true })
      await writeFile(target, text, { mode: path.replace(/^\//, "").startsWith("bin/") ? 0o755 : 0o644 })
    }
    const { stdout: archive } = await promisify(execFile)(
      "tar",
      ["--owner=0", "--group=0", "--numeric-owner", "-C", root, "-c", "."],
      { encoding: "buffer", maxBuffer: 64 * 1024 * 1024 }
    )
    return [archive]
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

/**
 * Removes every container (with its anonymous volumes), network and volume that carries `label`
 * (`key` or `key=value`), running or not.
 */
export async function cleanUp(label: string, docker: Docker = engine()): Promise<void> {
  const filters = JSON.stringify({ label: [label] })
  const containers = await docker.listContainers({ all: true, filters })
  await Promise.all(
    containers.map(({ Id }) => quietly(docker.getContainer(Id).remove({ force: true, v: true })))
  )
  const networks = await docker.listNetworks({ filters })
  await Promise.all(networks.map(({ Id }) => quietly(docker.getNetwork(Id).remove())))
  const { Volumes } = await docker.listVolumes({ filters })
  await Promise.all((Volumes ?? []).map(({ Name }) => quietly(docker.getVolume(Name).remove())))
}

const quietly = (work: Promise<unknown>): Promise<void> =>
  work.then(
    () => {},
    () => {}
  )

/** Waits until `condition` holds, looking every 20 ms; fails with `saying` after `withinMs`. */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  saying: string,
  withinMs = 20_000
): Promise<void> {
  const end = Date.now() + withinMs
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`Did not come about within ${withinMs} ms: ${saying}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
