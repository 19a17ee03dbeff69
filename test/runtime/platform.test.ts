import { describe, expect, test } from "bun:test"
import { execFileSync } from "node:child_process"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { unchangedParts } from "#runtime/platform.ts"

const mapping = (head: string, anonymous: number): string =>
  `${head}\nSize:               1024 kB\nRss:                 512 kB\nAnonymous: ${`${anonymous}`.padStart(13)} kB\nVmFlags: rd ex mr\n`

describe("the code and constants of a program in memory", () => {
  const code = mapping("01a40000-06847000 r-xp 01840000 08:01 1234       /opt/bun", 0)

  test("are found among what else is mapped of it and of others", () => {
    const maps = [
      mapping("00200000-01a39000 r--p 00000000 08:01 1234       /opt/bun", 0),
      code,
      mapping("06847000-06848000 r--p 06647000 08:01 1234       /opt/bun", 4),
      mapping("06848000-0684a000 rw-p 06648000 08:01 1234       /opt/bun", 8),
      mapping("7f00000000-7f00100000 r-xp 00000000 08:01 77       /lib/libc.so.6", 0),
      mapping("7f10000000-7f10100000 rwxp 00000000 00:00 0", 172)
    ]
    expect(unchangedParts(maps.join(""), "/opt/bun")).toEqual([
      { from: 0x00200000, to: 0x01a39000 },
      { from: 0x01a40000, to: 0x06847000 }
    ])
  })

  test("stay where somebody has changed it, and where its file is gone", () => {
    expect(unchangedParts(code.replace("     0 kB\nVm", "     4 kB\nVm"), "/opt/bun")).toEqual([])
    expect(unchangedParts(code.replace("/opt/bun", "/opt/bun (deleted)"), "/opt/bun")).toEqual([])
    expect(unchangedParts("", "/opt/bun")).toEqual([])
  })

  test.if(process.platform === "linux")(
    "are given back, and the process goes on",
    () => {
      const program = fileURLToPath(new URL("shrinking-program.ts", import.meta.url))
      const [before = 0, after = 0] = execFileSync(process.execPath, [program], { encoding: "utf8" })
        .split("\n")
        .map(Number)
      // A page that is in use comes back with those beside it.
      expect(after).toBeLessThan(before / 2)
      expect(after).toBeGreaterThan(0)
    },
    30_000
  )
})
