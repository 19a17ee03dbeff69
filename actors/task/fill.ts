/**
 * What stands in a secret or config that is a template: placeholders as in `expand.ts`, and `{{secret "target"}}`,
 * `{{config "target"}}`, `{{env "NAME"}}` for what the same container is given.
 * https://docs.docker.com/engine/swarm/configs/#example-use-a-templated-config
 */
import { templatingDriver } from "#actors/model/spec.ts"
import type { AssignedFile } from "#actors/node/protocol.ts"
import { encodeBase64, strictText } from "#actors/task/base64.ts"
import { contextOf, type Expanded, expand, type Functions } from "#actors/task/expand.ts"
import type { Pursue } from "#actors/task/protocol.ts"

/** The file's content, base64, with what is asked for in it filled in. Secrets and configs are filled in as they are kept. */
export function fill(file: AssignedFile, pursuit: Pursue): Expanded<string> {
  if (file.template === undefined) return { value: file.data }
  if (file.template !== templatingDriver) {
    return { problem: `unrecognized templating driver ${file.template}: expected ${templatingDriver}` }
  }
  const text = strictText(file.data)
  if (text === undefined) return { problem: "template: expected UTF-8 text" }
  const filled = expand(text, contextOf(pursuit), functionsOf(pursuit))
  return "problem" in filled ? filled : { value: encodeBase64(filled.value) }
}

function functionsOf({ assigned, secrets, configs }: Pursue): Functions {
  const spec = assigned.spec.ContainerSpec ?? {}
  return {
    secret: (target) => {
      const wanted = spec.Secrets?.find(({ File }) => File?.Name === target)
      return contentOf("secret", target, wanted?.SecretID, secrets)
    },
    config: (target) => {
      const wanted = spec.Configs?.find(({ File }) => File?.Name === target)
      return contentOf("config", target, wanted?.ConfigID, configs)
    },
    env: (name) => {
      const found = spec.Env?.find((entry) => entry.startsWith(`${name}=`))
      return { value: found?.slice(name.length + 1) ?? "" }
    }
  }
}

function contentOf(
  kind: "secret" | "config",
  target: string,
  id: string | undefined,
  given: ReadonlyArray<AssignedFile>
): Expanded<string> {
  const found = given.find((one) => one.id === id)
  if (found === undefined) return { problem: `${kind} target ${target} not found` }
  const text = strictText(found.data)
  return text === undefined ? { problem: `${kind} target ${target}: expected UTF-8 text` } : { value: text }
}
