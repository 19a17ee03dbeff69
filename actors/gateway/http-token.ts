/** The bearer token of `--http`: made once per data directory, readable by its owner alone. */
import { randomBytes } from "node:crypto"
import fs from "node:fs/promises"
import path from "node:path"
import { Effect, Schema } from "effect"
import { wordsOf } from "#runtime/words-of.ts"

/** The token's file cannot be read or made, or holds no token. */
export class HttpTokenError extends Schema.TaggedError<HttpTokenError>()("HttpTokenError", {
  file: Schema.String,
  message: Schema.String
}) {}

/** 64 hexadecimal digits when made by us; people may put their own there, without blanks. */
const tokenShape = /^[\x21-\x7e]{32,512}$/

/** The token in `<dataDir>/http-token`, made with mode 0600 when the file is missing. */
export const httpToken = Effect.fn("gateway.httpToken")(function* (
  dataDir: string
): Effect.fn.Return<string, HttpTokenError> {
  const file = path.join(dataDir, "http-token")
  const text = yield* Effect.tryPromise({
    try: () => readOrMake(file),
    catch: (cause) =>
      new HttpTokenError({ file, message: `Cannot keep the HTTP token in ${file}: ${wordsOf(cause)}` })
  })
  const token = text.trim()
  if (!tokenShape.test(token)) {
    return yield* new HttpTokenError({
      file,
      message: `${file} holds no token: expected 32 to 512 printable characters without blanks; remove the file to have one made`
    })
  }
  return token
})

async function readOrMake(file: string): Promise<string> {
  await fs.mkdir(path.dirname(file), { recursive: true, mode: 0o700 })
  try {
    // `wx` refuses an existing file, so two starting processes end up with one token.
    const made = `${randomBytes(32).toString("hex")}\n`
    await fs.writeFile(file, made, { flag: "wx", mode: 0o600 })
    return made
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EEXIST") {
      // Where there was no room for it, an empty one would be taken for somebody's own.
      await fs.rm(file, { force: true })
      throw cause
    }
  }
  await fs.chmod(file, 0o600)
  return await fs.readFile(file, "utf8")
}
