/** The machine's own resolv.conf, read anew when it changes. */
import { readFileSync, statSync } from "node:fs"
import { parseResolvConf, type ResolvConf } from "#actors/network/names/resolv-conf.ts"

const lookEveryMs = 1_000

export class HostResolvConf {
  readonly #path: string
  #lookedMs = Number.NEGATIVE_INFINITY
  #changedMs = 0
  #known: ResolvConf = parseResolvConf("")

  constructor(path = "/etc/resolv.conf") {
    this.#path = path
  }

  /** Looks at the file at most once a second. One that cannot be read leaves what was known. */
  now(): ResolvConf {
    const now = performance.now()
    if (now - this.#lookedMs < lookEveryMs) return this.#known
    this.#lookedMs = now
    try {
      const { mtimeMs } = statSync(this.#path)
      if (mtimeMs !== this.#changedMs) {
        this.#known = parseResolvConf(readFileSync(this.#path, "utf8"))
        this.#changedMs = mtimeMs
      }
    } catch {
      // While it is being replaced, or on a machine without one.
    }
    return this.#known
  }
}
