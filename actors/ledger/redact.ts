/**
 * What of a command may be shown to people. By the names of fields, so that a command that is added tomorrow is
 * covered today: rather too much is left out than too little.
 */

export const redacted = "[redacted]"

/** Fields whose values open something: keys, tokens, credentials, addresses that anybody may post to, and the payloads of secrets and configs. */
const sensitive = /token|auth|passw|private|credential|seed|unlock|webhook|key$|keys$|^data$/i
/** Named like them, and public. */
const harmless = /public/i
const sensitiveVariable = /passw|secret|token|key|auth|cred/i

/** Whether a field or label of this name holds something that opens something. */
export const isSensitive = (name: string): boolean => sensitive.test(name) && !harmless.test(name)

/** A copy in which no text or number is left under a sensitive name, however deep. */
export function redact(value: unknown, name = "", hidden = false): unknown {
  const hide = hidden || isSensitive(name)
  if (Array.isArray(value)) {
    return value.map((one) =>
      name === "Env" && typeof one === "string" ? variable(one) : redact(one, "", hide)
    )
  }
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, redact(inner, key, hide)]))
  }
  if (!hide || value === "" || typeof value === "boolean" || value === null) return value
  return redacted
}

/** `NAME=value` with the value left out when the name says that it is one to keep. */
function variable(text: string): string {
  const at = text.indexOf("=")
  return at > 0 && sensitiveVariable.test(text.slice(0, at)) ? `${text.slice(0, at)}=${redacted}` : text
}
