/** The headers that every answer carries, so that a client knows whom it speaks to and in which version. */
import type { EngineLink } from "#actors/gateway/engine-client-live.ts"
import type { Membership } from "#actors/gateway/gateway.ts"
import { offeredVersion } from "#actors/gateway/negotiate.ts"

/** What a node without an Engine says it is. */
const ownServer = "Troupe (linux)"

/** The Engine's own, with our version in place of its. */
export function answerHeaders(link: Pick<EngineLink, "facts">): Record<string, string> {
  const facts = link.facts()
  return {
    "Api-Version": offeredVersion(facts?.apiVersion),
    "Docker-Experimental": facts?.experimental ?? "false",
    Ostype: facts?.osType ?? "linux",
    Server: facts?.server ?? ownServer
  }
}

/** What `/_ping` says besides; the CLI decides by it which version, builder and help texts it uses. */
export function pingHeaders(link: Pick<EngineLink, "facts">, membership: Membership): Record<string, string> {
  const builder = link.facts()?.builderVersion
  return {
    ...answerHeaders(link),
    ...(builder === undefined ? {} : { "Builder-Version": builder }),
    Swarm: membership.replace(/^pending\/.*/, "pending"),
    "Cache-Control": "no-cache, no-store, must-revalidate",
    Pragma: "no-cache",
    "Content-Type": "text/plain; charset=utf-8"
  }
}
