/** A real file system in memory that tests fill up; needs root. */
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** Where it lies; `size` as `mount` takes it. */
export function smallDisk(size: string): string {
  const place = mkdtempSync(join(tmpdir(), "troupe-disk-"))
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", place])
  return place
}

export function removeDisk(place: string): void {
  execFileSync("umount", ["-l", place])
  rmSync(place, { recursive: true })
}

const ballast = (place: string): string => join(place, "ballast")

/** Takes all the room there is, to the last page. */
export function fillDisk(place: string): void {
  for (const bytes of [1024 ** 2, 4_096]) {
    const block = new Uint8Array(bytes)
    try {
      for (;;) writeFileSync(ballast(place), block, { flag: "a" })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error
    }
  }
}

/** Gives it back. */
export const emptyDisk = (place: string): void => rmSync(ballast(place), { force: true })
