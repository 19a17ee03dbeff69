/** Prints what of the program's machine code is resident, in KiB, before and after giving it back. */
import { readFileSync } from "node:fs"
import process from "node:process"
import { shrink } from "#runtime/platform.ts"

function residentText(): number {
  const maps = readFileSync("/proc/self/smaps", "latin1").split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)
  const text = maps.find((one) => / r-xp .*/.exec(one)?.[0].endsWith(` ${process.execPath}`))
  return Number(/^Rss: +(\d+)/m.exec(text ?? "")?.[1])
}

const before = residentText()
shrink()
console.log(`${before}\n${residentText()}`)
