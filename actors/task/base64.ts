/** Base64 in decisions, which may not import `node:buffer`. */

const bytesOf = (encoded: string): Uint8Array =>
  Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0))

/** The UTF-8 text that base64 stands for; what is no base64 is taken as the text itself. */
export function decodeBase64(encoded: string): string {
  try {
    return new TextDecoder().decode(bytesOf(encoded))
  } catch {
    return encoded
  }
}

/** The UTF-8 text that base64 stands for; `undefined` when it stands for something else. */
export function strictText(encoded: string): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytesOf(encoded))
  } catch {
    return undefined
  }
}

export function encodeBase64(text: string): string {
  let bytes = ""
  for (const byte of new TextEncoder().encode(text)) bytes += String.fromCharCode(byte)
  return btoa(bytes)
}
