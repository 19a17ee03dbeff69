/** Secrets and configs: names, sizes, and that nothing but labels ever changes. */
import { checkFileName } from "#actors/gateway/validate/check-name.ts"
import { type Refusal, refuse, rpc } from "#actors/model/errors.ts"
import { type ConfigSpec, type SecretSpec, templatingDriver } from "#actors/model/spec.ts"

const secretLimit = 500 * 1024
const configLimit = 1000 * 1024

/** Bytes that base64 stands for, or `undefined` when it is not base64 as Go reads it (padded, standard letters). */
function base64Size(text: string): number | undefined {
  const packed = text.replace(/[\r\n]/g, "")
  if (packed.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(packed)) return undefined
  const padding = packed.endsWith("==") ? 2 : packed.endsWith("=") ? 1 : 0
  return (packed.length / 4) * 3 - padding
}

const notBase64 = refuse("invalidArgument", "invalid JSON: Data: expected base64, got something else")

export function checkSecret(spec: SecretSpec): Refusal | undefined {
  const size = base64Size(spec.Data ?? "")
  if (size === undefined) return notBase64
  const refused = checkFileName(spec.Name) ?? checkTemplating(spec)
  if (refused !== undefined) return refused
  if (spec.Driver !== undefined) {
    return spec.Driver.Name ? undefined : rpc("invalidArgument", "secret driver must have a name")
  }
  return size < 1 || size >= secretLimit
    ? rpc("invalidArgument", `secret data must be larger than 0 and less than ${secretLimit} bytes`)
    : undefined
}

export function checkConfig(spec: ConfigSpec): Refusal | undefined {
  const size = base64Size(spec.Data ?? "")
  if (size === undefined) return notBase64
  const refused = checkFileName(spec.Name) ?? checkTemplating(spec)
  if (refused !== undefined) return refused
  return size < 1 || size >= configLimit
    ? rpc("invalidArgument", `config data must be larger than 0 and less than ${configLimit} bytes`)
    : undefined
}

/** Swarm takes any driver and lets the tasks fail; who asked would not hear of it. */
function checkTemplating({ Templating }: SecretSpec | ConfigSpec): Refusal | undefined {
  const driver = Templating?.Name ?? ""
  return driver === "" || driver === templatingDriver
    ? undefined
    : rpc("invalidArgument", `unrecognized templating driver ${driver}: expected ${templatingDriver}`)
}

/** An update may repeat the name and the data, or leave the data out; both stay what they are. */
export function checkFileUpdate(
  present: SecretSpec | ConfigSpec,
  asked: SecretSpec | ConfigSpec
): Refusal | undefined {
  const sameName = (asked.Name ?? "") === (present.Name ?? "")
  const sameData = asked.Data === undefined || asked.Data === "" || asked.Data === present.Data
  return sameName && sameData ? undefined : rpc("invalidArgument", "only updates to Labels are allowed")
}
