/** Who holds a port on this machine, for the message that says it is taken. Linux tells through /proc. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs"

const listening = "0A"
const udpUnconnected = "07"

/**
 * `nginx (pid 812)`, or `undefined` when nobody is found: the holder is gone, belongs to another
 * network namespace, or this process may not look.
 */
export function holderOfPort(protocol: "tcp" | "udp", port: number): string | undefined {
  const inodes = new Set<string>()
  for (const family of ["", "6"]) collectInodes(protocol, `/proc/net/${protocol}${family}`, port, inodes)
  if (inodes.size === 0) return undefined
  for (const pid of list("/proc")) {
    if (!/^\d+$/.test(pid)) continue
    for (const descriptor of list(`/proc/${pid}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${descriptor}`))?.[1]
      if (inode !== undefined && inodes.has(inode))
        return `${textOf(`/proc/${pid}/comm`).trim()} (pid ${pid})`
    }
  }
  return undefined
}

function collectInodes(protocol: "tcp" | "udp", table: string, port: number, into: Set<string>): void {
  const wanted = port.toString(16).toUpperCase().padStart(4, "0")
  const state = protocol === "tcp" ? listening : udpUnconnected
  for (const line of textOf(table).split("\n").slice(1)) {
    const [, local, , itsState, , , , , , inode] = line.trim().split(/\s+/)
    if (local?.endsWith(`:${wanted}`) && itsState === state && inode !== undefined) into.add(inode)
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return ""
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ""
  }
}

function list(path: string): ReadonlyArray<string> {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}
