/**
 * A fresh Debian 12 with systemd, Node and npm, made by debootstrap and booted in a container of its own: the demo, the node
 * as a service, what kills it, and a reboot. What this machine has by chance does not count there.
 *
 *     bun run fresh [--anew]      as root, on Debian; --anew makes the machine anew, which takes minutes
 *
 * Works on what is committed. The machine reaches nobody: packages are fetched before it starts. Ends with 1 when a step fails.
 */
import { execFileSync, spawnSync } from "node:child_process"
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { dirname, join } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../..", import.meta.url))
const kept = "/var/cache/troupe-fresh"
const base = join(kept, "debian-12")
const npmCache = join(kept, "npm")
const withinMs = 900_000
/** What systemd-nspawn ends with. */
const wantsReboot = 133

const run = (command: string, ...args: ReadonlyArray<string>): void => {
  execFileSync(command, args, { cwd: root, stdio: ["ignore", "ignore", "inherit"] })
}
const read = (command: string, ...args: ReadonlyArray<string>): string =>
  execFileSync(command, args, { cwd: root, encoding: "utf8" }).trim()

/** Debian's packages that set-up installs. */
const packages = [
  ...new Set(
    [...readFileSync(join(root, "deploy/setup.sh"), "utf8").matchAll(/^ {2}"\S+ (\S+)"$/gm)].map(
      ([, name = ""]) => name
    )
  )
]

function debootstrap(): void {
  const [mirror = ""] = read("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages")
    .split("\n")
    .filter((uri) => uri.endsWith("/debian/"))
  const unfinished = `${base}.unfinished`
  rmSync(unfinished, { recursive: true, force: true })
  mkdirSync(kept, { recursive: true })
  const include = "--include=systemd,systemd-sysv,dbus,iproute2,procps,ca-certificates"
  run("debootstrap", "--variant=minbase", include, "bookworm", unfinished, mirror)
  copyFileSync("/etc/resolv.conf", join(unfinished, "etc/resolv.conf"))
  run("chroot", unfinished, "apt-get", "update", "-q")
  const download = ["install", "-y", "-q", "--no-install-recommends", "--download-only"]
  run("chroot", unfinished, "apt-get", ...download, ...packages)
  writeFileSync(join(unfinished, "etc/resolv.conf"), "")
  run("mv", unfinished, base)
}

/** What is committed, Node and npm, and in npm's own cache what the lock file names. */
function furnish(machine: string): void {
  const home = join(machine, "opt/troupe")
  run("git", "clone", "--quiet", root, home)
  run("npm", "--prefix", home, "ci", "--cache", npmCache, "--no-audit", "--no-fund")
  rmSync(join(home, "node_modules"), { recursive: true })
  cpSync(join(npmCache, "_cacache"), join(machine, "root/.npm/_cacache"), { recursive: true })
  copyFileSync(realpathSync(read("which", "node")), join(machine, "usr/bin/node"))
  const npm = dirname(dirname(realpathSync(read("which", "npm"))))
  cpSync(npm, join(machine, "usr/lib/node_modules/npm"), { recursive: true })
  symlinkSync("../lib/node_modules/npm/bin/npm-cli.js", join(machine, "usr/bin/npm"))
  writeFileSync(
    join(machine, "etc/systemd/system/fresh.service"),
    `[Unit]\nAfter=multi-user.target\n[Service]\nType=oneshot\nTimeoutStartSec=infinity\nWorkingDirectory=/opt/troupe\nExecStart=/bin/bash test/fresh/steps.sh\n[Install]\nWantedBy=multi-user.target\n`
  )
  run("chroot", machine, "systemctl", "enable", "--quiet", "fresh")
}

/** Until it powers itself off. */
function boot(machine: string, engineFolder: string): void {
  const args = [
    ...["--quiet", "--register=no", "--keep-unit", "--private-network", "--capability=all"],
    // For runc.
    ...["--system-call-filter=@keyring bpf", `--directory=${machine}`, "--boot"],
    // The Engine lays images over each other, and what is laid so already does not bear it.
    `--bind=${engineFolder}:/var/lib/docker`
  ]
  const options = { stdio: "ignore", timeout: withinMs, killSignal: "SIGTERM" } as const
  const began = spawnSync("systemd-nspawn", args, options)
  const { error } = began.status === wantsReboot ? spawnSync("systemd-nspawn", args, options) : began
  if (error) console.error(`the machine was ended: ${error.message}`)
}

if (process.getuid?.() !== 0) throw new Error("bun run fresh needs root")
for (const [command, name] of [
  ["debootstrap", "debootstrap"],
  ["systemd-nspawn", "systemd-container"]
] as const)
  if (spawnSync("which", [command]).status !== 0)
    run("apt-get", "install", "-y", "-q", "--no-install-recommends", name)
if (process.argv.includes("--anew")) rmSync(base, { recursive: true, force: true })
if (!existsSync(base)) debootstrap()

const folder = mkdtempSync("/var/tmp/troupe-fresh-")
const machine = join(folder, "machine")
for (const name of ["machine", "upper", "work", "engine"]) mkdirSync(join(folder, name))
run(
  "mount",
  "-t",
  "overlay",
  "-o",
  `lowerdir=${base},upperdir=${folder}/upper,workdir=${folder}/work`,
  "troupe-fresh",
  machine
)
let log = ""
try {
  furnish(machine)
  boot(machine, join(folder, "engine"))
  log = existsSync(join(machine, "opt/fresh.log")) ? readFileSync(join(machine, "opt/fresh.log"), "utf8") : ""
  if (!log.includes("ok the node is gone") || log.includes("failed ")) {
    process.exitCode = 1
    console.error(
      existsSync(join(machine, "opt/fresh.out"))
        ? readFileSync(join(machine, "opt/fresh.out"), "utf8")
        : "it said nothing"
    )
  }
} finally {
  run("umount", machine)
  rmSync(folder, { recursive: true })
}
console.log(log.trim())
