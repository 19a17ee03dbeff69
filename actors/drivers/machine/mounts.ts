/** What is mounted where on this machine, as the kernel tells: see proc(5), `mountinfo`. */
import { readFileSync, realpathSync } from "node:fs"
import { hostname } from "node:os"

/**
 * Where a directory is, by what outlives what is in it: the machine's name, the disk and the place on it. Two containers with
 * the same path inside differ in it; a directory that was lost and is made again does not. `undefined` where it is not there,
 * or the system does not tell.
 */
export function homeOf(directory: string): string | undefined {
  try {
    const place = placeOn(readFileSync("/proc/self/mountinfo", "utf8"), realpathSync(directory))
    return place === undefined ? undefined : `${hostname()}:${place}`
  } catch {
    return undefined
  }
}

/** What is mounted in a directory, the innermost first. */
export function mountsBelow(directory: string): ReadonlyArray<string> {
  let mountinfo: string
  let path: string
  try {
    mountinfo = readFileSync("/proc/self/mountinfo", "utf8")
    path = realpathSync(directory)
  } catch {
    return []
  }
  return pointsIn(mountinfo, path)
}

/** By the lines of `mountinfo`; one for each time that something is mounted there. */
export const pointsIn = (mountinfo: string, path: string): ReadonlyArray<string> =>
  mountinfo
    .split("\n")
    .flatMap((line) => line.split(" ").map(unescaped)[4] ?? [])
    .filter((point) => point.startsWith(`${path}/`))
    .sort((a, b) => b.length - a.length)

/** `<device>:<path on it>` of an absolute path, by the lines of `mountinfo`. */
export function placeOn(mountinfo: string, path: string): string | undefined {
  let found: { readonly point: string; readonly device: string; readonly root: string } | undefined
  for (const line of mountinfo.split("\n")) {
    const [, , device, root, point] = line.split(" ").map(unescaped)
    if (device === undefined || root === undefined || point === undefined) continue
    const holds = point === "/" || path === point || path.startsWith(`${point}/`)
    // Of two at the same point the later one lies on top.
    if (holds && point.length >= (found?.point.length ?? 0)) found = { point, device, root }
  }
  if (found === undefined) return undefined
  const below = found.point === "/" ? path : path.slice(found.point.length)
  return `${found.device}:${found.root === "/" ? "" : found.root}${below}`
}

const unescaped = (word: string): string =>
  word.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
