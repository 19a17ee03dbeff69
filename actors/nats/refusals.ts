/** What nats-server turned away, as its log tells it: of clients that may not publish or hear what they wanted to. */

export interface Refusal {
  /** ISO 8601. */
  readonly at: string
  /** `nats:` and the client's name. */
  readonly who: string
  readonly method: "PUBLISH" | "SUBSCRIBE"
  /** The subject. */
  readonly path: string
  readonly status: 403
  /** In the words that the client was told. */
  readonly refused: string
}

// Names and subjects stand in quotes with theirs escaped, so that no client writes what reads as another's line.
const refused =
  /^\[\d+\] (\S+ \S+) \[ERR\] .* - (Publish|Subscription) Violation - Nkey "(\w+)", Subject ("(?:[^"\\]|\\.)*")/

/** Whoever floods a server with them is known by then. */
const mostAtOnce = 100

/** Of the clients of those names, by their public keys. */
export const refusalsIn = (log: string, names: ReadonlyMap<string, string>): ReadonlyArray<Refusal> => {
  const found: Array<Refusal> = []
  for (const line of log.split("\n")) {
    const [, when = "", what, key = "", subject = ""] = refused.exec(line) ?? []
    const name = names.get(key)
    if (name === undefined) continue
    found.push({
      // In the machine's time zone, which is also ours.
      at: new Date(when).toISOString(),
      who: `nats:${name}`,
      method: what === "Publish" ? "PUBLISH" : "SUBSCRIBE",
      path: plain(subject),
      status: 403,
      refused: `Permissions Violation for ${what} to ${subject}`
    })
    if (found.length === mostAtOnce) break
  }
  return found
}

function plain(quoted: string): string {
  try {
    return JSON.parse(quoted)
  } catch {
    // Go has escapes that JSON has not.
    return quoted.slice(1, -1)
  }
}
