/** Enters a machine, and starts the Docker Engine that belongs to it. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { engineOf, folderOf, groupOf, type Machine, namespaceOf, runFolderOf } from "#test/lab/machines.ts"
import { background, isAlive, untilReady } from "#test/lab/processes.ts"
import { request } from "#test/lab/request.ts"
import { engine, ensureTestImage } from "#test/support/engine.ts"

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/**
 * Enters a machine's network with mounts and a host name of its own. Not `ip netns exec`: it mounts /sys anew and
 * hides the cgroups from the Engine. Image look-ups must not wait for a DNS that is not there.
 */
export function inside({ name }: Machine, command: string): ReadonlyArray<string> {
  writeFileSync(join(folderOf(name), "resolv.conf"), "nameserver 127.0.0.1\n")
  const script = `hostname ${name}; mount --bind ${folderOf(name)}/resolv.conf /etc/resolv.conf; exec ${command}`
  return [`--net=/run/netns/${namespaceOf(name)}`, "unshare", "-m", "--uts", "sh", "-c", script]
}

/** An Engine of its own, with the image that tests use. */
export async function startEngine(machine: Machine): Promise<void> {
  const { name, orchestrator } = machine
  const [folder, run] = [folderOf(name), runFolderOf(name)]
  mkdirSync(join(folder, "engine"), { recursive: true })
  mkdirSync(run, { recursive: true })
  if (!machine.hasEngine || isAlive(machine.enginePid)) return
  const pidFile = join(run, "engine.pid")
  rmSync(pidFile, { force: true })
  // Not what the machine's own Engine is told in /etc/docker.
  writeFileSync(join(folder, "daemon.json"), "{}")
  const command = [
    ...[
      "dockerd",
      `--config-file=${folder}/daemon.json`,
      `--data-root=${folder}/engine`,
      `--exec-root=${run}/engine-exec`
    ],
    ...[`--pidfile=${pidFile}`, "-H", `unix://${engineOf(name)}`],
    // All that runs in its containers is found by this, also when the Engine and its shims are gone.
    ...["--exec-opt", "native.cgroupdriver=cgroupfs", `--cgroup-parent=${groupOf(name)}`],
    // Swarm mode refuses it.
    ...(orchestrator === "swarm" ? [] : ["--live-restore"])
  ].join(" ")
  const log = join(folder, "engine.log")
  const pid = background(log, root, "nsenter", inside(machine, command))
  await untilReady(`the Engine of ${name}`, 180, pid, log, async () => {
    const answer = await request(engineOf(name), "GET", "/_ping").catch(() => undefined)
    return answer?.status === 200 && existsSync(pidFile)
  })
  machine.enginePid = Number(readFileSync(pidFile, "utf8"))
  await ensureTestImage(engine(`unix://${engineOf(name)}`))
}
