/**
 * What role a request asks for, by its method and path alone, so that it is known before anything else happens to it.
 *
 * Reads are for viewers, where they give away no key and no file of a container; what makes and changes services and
 * what they need is for operators, as is a shell in a container. All else is for administrators: who is in the
 * cluster and how, keys, backups, and the Engine's own half, with which one owns its machine.
 */
import { isAtLeast, type Role } from "#actors/gateway/access/role.ts"

interface Rule {
  readonly methods: RegExp
  readonly path: RegExp
  readonly role: Role
}

const reads = /^(GET|HEAD)$/
const writes = /^(POST|PUT|DELETE)$/

/** The first that fits counts. Paths are without a version. */
const rules: ReadonlyArray<Rule> = [
  // With join tokens, keys and the certificate authority in them.
  { methods: reads, path: /^\/(swarm|swarm\/unlockkey|backup)$/, role: "admin" },
  // A container's files and its terminal.
  { methods: reads, path: /^\/containers\/[^/]+\/(archive|export)$/, role: "operator" },
  { methods: /^/, path: /^\/containers\/[^/]+\/attach(\/ws)?$/, role: "operator" },
  { methods: reads, path: /^\/images\/(.+\/)?get$/, role: "operator" },

  // Everybody who may look may look at the dashboard, and leave it.
  { methods: /^/, path: /^\/dashboard\/(session|links)$/, role: "viewer" },
  // A plan changes nothing; each of its steps is asked for anew by whoever carries it out.
  { methods: /^POST$/, path: /^\/dashboard\/stack\/plan$/, role: "viewer" },
  { methods: /^POST$/, path: /^\/dashboard\/(stack\/(deploy|remove)|tree\/restart)$/, role: "operator" },
  { methods: /^/, path: /^\/dashboard\/exec(\/.*)?$/, role: "operator" },

  { methods: writes, path: /^\/services\/(create|[^/]+|[^/]+\/update)$/, role: "operator" },
  { methods: writes, path: /^\/(secrets|configs)\/(create|[^/]+|[^/]+\/update)$/, role: "operator" },
  { methods: writes, path: /^\/networks\/(create|prune|[^/]+)$/, role: "operator" },
  { methods: /^POST$/, path: /^\/nodes\/[^/]+\/update$/, role: "operator" },
  {
    methods: /^POST$/,
    path: /^\/containers\/[^/]+\/(restart|stop|start|kill|wait|resize)$/,
    role: "operator"
  },
  { methods: /^POST$/, path: /^\/containers\/[^/]+\/exec$/, role: "operator" },
  { methods: /^POST$/, path: /^\/exec\/[^/]+\/(start|resize)$/, role: "operator" },
  { methods: /^POST$/, path: /^\/session$/, role: "admin" },

  { methods: reads, path: /^/, role: "viewer" }
]

/** `path` is without version and query. Of what it says and what the Engine takes it for that which asks for more. */
export function demand(method: string, path: string): Role {
  const read = asEngineReads(path)
  if (read === undefined) return "admin"
  const [said, meant] = [roleOf(method, path), roleOf(method, read)]
  return isAtLeast(said, meant) ? said : meant
}

const roleOf = (method: string, path: string): Role =>
  rules.find((rule) => rule.methods.test(method) && rule.path.test(path))?.role ?? "admin"

/** `/%73warm` and `/v1.41.0/swarm` are `/swarm` there. `undefined` where a path is none, such as a whole URL, which it takes as well. */
function asEngineReads(path: string): string | undefined {
  if (!path.startsWith("/")) return undefined
  try {
    return decodeURIComponent(path).replace(/^\/v[\d.]+(?=\/)/, "")
  } catch {
    return undefined
  }
}
