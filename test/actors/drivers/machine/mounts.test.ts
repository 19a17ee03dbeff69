import { expect, test } from "bun:test"
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { hostname, tmpdir } from "node:os"
import { join } from "node:path"
import { homeOf, placeOn, pointsIn } from "#actors/drivers/machine/mounts.ts"

const mountinfo = `22 1 254:0 / / rw,relatime - ext4 /dev/root rw
23 22 0:21 / /proc rw - proc proc rw
30 22 8:1 / /var/lib/troupe rw - ext4 /dev/sda1 rw
31 22 8:2 /volumes/one/_data /data rw - ext4 /dev/sda2 rw
32 22 8:3 / /with\\040space rw - ext4 /dev/sda3 rw
`

test("a place is the innermost mount's disk and the path on it", () => {
  expect(placeOn(mountinfo, "/srv/troupe")).toBe("254:0:/srv/troupe")
  expect(placeOn(mountinfo, "/var/lib/troupe")).toBe("8:1:")
  expect(placeOn(mountinfo, "/var/lib/troupe/a")).toBe("8:1:/a")
  expect(placeOn(mountinfo, "/var/lib/troupe-2")).toBe("254:0:/var/lib/troupe-2")
  expect(placeOn(mountinfo, "/with space/a")).toBe("8:3:/a")
  expect(placeOn("", "/srv")).toBeUndefined()
})

test("what containers know by the same path is told apart by what is mounted there", () => {
  const other = mountinfo.replace("/volumes/one/", "/volumes/two/")
  expect(placeOn(mountinfo, "/data")).toBe("8:2:/volumes/one/_data")
  expect(placeOn(other, "/data")).toBe("8:2:/volumes/two/_data")
})

test("of two mounts at one place the later one counts", () => {
  expect(placeOn(`${mountinfo}40 22 8:9 / /data rw - ext4 /dev/sdb rw\n`, "/data/a")).toBe("8:9:/a")
})

test("what is mounted in a directory is told innermost first, as often as it is mounted", () => {
  const more = `41 22 8:4 / /var/lib/troupe/a rw - ext4 /dev/sdc rw
42 41 8:5 / /var/lib/troupe/a/b rw - ext4 /dev/sdd rw
43 41 8:5 / /var/lib/troupe/a/b rw - ext4 /dev/sdd rw
44 22 8:6 / /var/lib/troupe-2 rw - ext4 /dev/sde rw
`
  expect(pointsIn(mountinfo + more, "/var/lib/troupe")).toEqual([
    "/var/lib/troupe/a/b",
    "/var/lib/troupe/a/b",
    "/var/lib/troupe/a"
  ])
})

test("a directory that is made again has the home of the one before", () => {
  const folder = mkdtempSync(join(tmpdir(), "troupe-home-"))
  const [one, two] = [join(folder, "one"), join(folder, "two")]
  mkdirSync(one)
  mkdirSync(two)
  const before = homeOf(one)
  rmSync(one, { recursive: true })
  mkdirSync(one)
  expect(before).toStartWith(`${hostname()}:`)
  expect(homeOf(one)).toBe(before as string)
  expect(homeOf(two)).not.toBe(before as string)
  expect(homeOf(join(folder, "none"))).toBeUndefined()
  rmSync(folder, { recursive: true })
})
