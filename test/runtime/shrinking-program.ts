/** Prints what of the program's code and constants is resident, in KiB, before and after giving it back. */
import { readFileSync } from "node:fs"
import process from "node:process"
import { shrink } from "#runtime/platform.ts"

function resident(): number {
  const maps = readFileSync("/proc/self/smaps", "latin1").split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)
  const own = maps.filter((one) => / r-[x-]p .*/.exec(one)?.[0].endsWith(` ${process.execPath}`))
  return own.reduce((sum, one) => sum + Number(/^Rss: +(\d+)/m.exec(one)?.[1]), 0)
}

const before = resident()
shrink()
console.log(`${before}\n${resident()}`)
