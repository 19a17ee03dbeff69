/**
 * The tokens that open the HTTP door: the node's own, made with its data directory and an administrator's, and those
 * that people have made for others, each with a name and a role.
 *
 * `<data-dir>/http-tokens` has one a line, `NAME ROLE SHA-256`: who reads the file holds no token. It is looked at
 * again whenever it has changed, so that a token is good, and no longer good, from the next request on.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto"
import fs from "node:fs"
import path from "node:path"
import { writePrivate } from "#actors/drivers/machine/files.ts"
import { type Identity, isRole, type Role, roles } from "#actors/gateway/access/role.ts"

export interface NamedToken {
  readonly name: string
  readonly role: Role
  /** SHA-256, in hexadecimal digits. */
  readonly digest: string
}

export const tokensFile = (dataDir: string): string => path.join(dataDir, "http-tokens")

const digestOf = (token: string): string => createHash("sha256").update(token, "utf8").digest("hex")

/** Throws with the line that is no token's. */
function parseTokens(text: string): ReadonlyArray<NamedToken> {
  return text.split("\n").flatMap((line, at) => {
    if (line.trim() === "" || line.startsWith("#")) return []
    const [name = "", role, digest = "", ...more] = line.trim().split(/\s+/)
    if (!isRole(role) || !/^[0-9a-f]{64}$/.test(digest) || !isTokenName(name) || more.length > 0)
      throw new Error(`line ${at + 1}: expected NAME ROLE SHA-256, the role one of ${roles.join(", ")}`)
    return [{ name, role, digest }]
  })
}

/** Also what stands in the log for whoever used it, so it may not pass for somebody else. */
const isTokenName = (name: string): boolean =>
  /^[a-z0-9][a-z0-9._-]{0,62}$/i.test(name) && !["local", "http-token", "nats"].includes(name)

const writeTokens = (dataDir: string, tokens: ReadonlyArray<NamedToken>): void => {
  const file = tokensFile(dataDir)
  const lines = tokens.map(({ name, role, digest }) => `${name} ${role} ${digest}\n`)
  writePrivate(file, lines.join(""))
}

export function readTokens(dataDir: string): ReadonlyArray<NamedToken> {
  const file = tokensFile(dataDir)
  if (!fs.existsSync(file)) return []
  try {
    return parseTokens(fs.readFileSync(file, "utf8"))
  } catch (cause) {
    throw new Error(`${file}: ${(cause as Error).message}`)
  }
}

/** The token, which is shown this once and kept nowhere. Throws where the name is taken or none. */
export function createToken(dataDir: string, name: string, role: Role): string {
  const tokens = readTokens(dataDir)
  if (!isTokenName(name))
    throw new Error(`name ${JSON.stringify(name)}: expected letters, digits, ., _ and -, and no word of ours`)
  if (tokens.some((one) => one.name === name)) throw new Error(`a token is called ${name} already`)
  const token = randomBytes(32).toString("hex")
  writeTokens(dataDir, [...tokens, { name, role, digest: digestOf(token) }])
  return token
}

/** False when there is none of that name. */
export function removeToken(dataDir: string, name: string): boolean {
  const tokens = readTokens(dataDir)
  const left = tokens.filter((one) => one.name !== name)
  if (left.length === tokens.length) return false
  writeTokens(dataDir, left)
  return true
}

export interface Tokens {
  /** Whose token this is. Takes the same time wherever a wrong one differs. */
  readonly identify: (token: string) => Identity | undefined
  /** All that are good now, the node's own first. */
  readonly list: () => ReadonlyArray<NamedToken>
}

/** `own` is the node's own token. A file that cannot be read opens nothing and is told to `onProblem` once. */
export function openTokens(dataDir: string, own: string, onProblem: (problem: string) => void): Tokens {
  const first: NamedToken = { name: "http-token", role: "admin", digest: digestOf(own) }
  let known: ReadonlyArray<NamedToken> = []
  let stamp = ""
  const now = (): ReadonlyArray<NamedToken> => {
    const found = fs.statSync(tokensFile(dataDir), { throwIfNoEntry: false })
    const next = found === undefined ? "none" : `${found.ino} ${found.mtimeMs} ${found.size}`
    if (next !== stamp) {
      stamp = next
      try {
        known = readTokens(dataDir)
      } catch (cause) {
        known = []
        onProblem((cause as Error).message)
      }
    }
    return [first, ...known]
  }
  return {
    identify: (token) => {
      const given = Buffer.from(digestOf(token), "hex")
      let found: Identity | undefined
      for (const { name, role, digest } of now())
        if (timingSafeEqual(given, Buffer.from(digest, "hex"))) found = { who: name, role, token: digest }
      return found
    },
    list: now
  }
}
