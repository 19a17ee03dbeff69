/** Which names objects may have, and which image references can be parsed. */
import { type Refusal, rpc } from "#actors/model/errors.ts"
import { isFileName } from "#actors/model/file-name.ts"

// Written without nested repetition: these run on what strangers send.
const dnsName = /^[a-zA-Z0-9](?:[a-zA-Z0-9_-]*[a-zA-Z0-9])?$/

/** Names of services and networks become DNS names. */
export function checkName(name: string | undefined): Refusal | undefined {
  if (name === undefined || name === "") return rpc("invalidArgument", "meta: name must be provided")
  // Longer ones are refused either way; the pattern is not asked about a megabyte.
  if (name.length > 63) {
    return /^[A-Za-z0-9_-]+$/.test(name.slice(0, 256))
      ? rpc("invalidArgument", "name must be 63 characters or fewer")
      : rpc("invalidArgument", "name must be valid as a DNS name component")
  }
  return dnsName.test(name) ? undefined : rpc("invalidArgument", "name must be valid as a DNS name component")
}

/** Names of secrets and configs. */
export function checkFileName(name: string | undefined): Refusal | undefined {
  if (name === undefined || name === "") return rpc("invalidArgument", "name must be provided")
  return isFileName(name)
    ? undefined
    : rpc(
        "invalidArgument",
        "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]"
      )
}

// The grammar of distribution/reference: [domain[:port]/]path[:tag][@digest].
const component = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*"
const domain = "(?:[a-zA-Z0-9-]+(?:\\.[a-zA-Z0-9-]+)*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?"
const reference = new RegExp(
  `^(?:${domain}/)?${component}(?:/${component})*(?::[A-Za-z0-9_][\\w.-]{0,127})?(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?$`
)
const longestReference = 4096
const imageId = /^[a-f0-9]{64}$/

/** True when `image` can be the name of an image. */
export const isReference = (image: string): boolean =>
  image.length <= longestReference && !imageId.test(image) && reference.test(image)
