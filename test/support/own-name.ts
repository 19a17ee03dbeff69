/** What the kernel calls this test process, which depends on how it was started. */
import { readFileSync } from "node:fs"

export const ownName = readFileSync("/proc/self/comm", "utf8").trim()
