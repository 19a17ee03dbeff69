import { readFileSync } from "node:fs"

const rss = () => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/self/status`, "latin1"))?.[1]) / 1024
let b = rss()
console.log("bare", b.toFixed(0))
for (const m of process.argv.slice(2)) {
  await import(m)
  Bun.gc(true)
  const n = rss()
  console.log(`+${(n - b).toFixed(1)}`.padEnd(8), n.toFixed(0), m)
  b = n
}
