/**
 * Where a directory is, by what outlives what is in it: the machine's name, the disk and the place on it. Two containers with
 * the same path inside differ in it; a directory that was lost and is made again does not.
 */
import { readFileSync, realpathSync } from "node:fs"
import { hostname } from "node:os"

/** Of a directory that is there; `undefined` where the system does not tell. */
export function homeOf(directory: string): string | undefined {
  try {
    const place = placeOn(readFileSync("/proc/self/mountinfo", "utf8"), realpathSync(directory))
    return place === undefined ? undefined : `${hostname()}:${place}`
  } catch {
    return undefined
  }
}

/** `<device>:<path on it>` of an absolute path, by the lines of `mountinfo`; see proc(5). */
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
