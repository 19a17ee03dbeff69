/** The resolvers of the machine itself, read anew when its resolv.conf changes. */
import { readFileSync, statSync } from "node:fs"
import { parseResolvConf } from "#actors/network/names/resolv-conf.ts"

const lookEveryMs = 1_000

export class HostResolvers {
  readonly #path: string
  #lookedMs = Number.NEGATIVE_INFINITY
  #changedMs = 0
  #nameservers: ReadonlyArray<string> = []

  constructor(path = "/etc/resolv.conf") {
    this.#path = path
  }

  /** Looks at the file at most once a second. One that cannot be read leaves what was known. */
  now(): ReadonlyArray<string> {
    const now = performance.now()
    if (now - this.#lookedMs < lookEveryMs) return this.#nameservers
    this.#lookedMs = now
    try {
      const { mtimeMs } = statSync(this.#path)
      if (mtimeMs !== this.#changedMs) {
        this.#nameservers = parseResolvConf(readFileSync(this.#path, "utf8")).nameservers
        this.#changedMs = mtimeMs
      }
    } catch {
      // While it is being replaced, or on a machine without one.
    }
    return this.#nameservers
  }
}
