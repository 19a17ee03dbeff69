/** Base64 in decisions, which may not import `node:buffer`. */

/** The UTF-8 text that base64 stands for; what is no base64 is taken as the text itself. */
export function decodeBase64(encoded: string): string {
  try {
    const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0))
    return new TextDecoder().decode(bytes)
  } catch {
    return encoded
  }
}
