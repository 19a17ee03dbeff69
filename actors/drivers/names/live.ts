/** Names as the data-plane process of this machine answers them. */
import { readFileSync } from "node:fs"
import { Effect, Layer } from "effect"
import { DataPlane } from "#actors/drivers/data-plane.ts"
import { hindrance } from "#actors/drivers/kernel/hindrance.ts"
import { Redirect } from "#actors/drivers/names/redirect.ts"
import { Names, type NamesReport } from "#actors/drivers/names.ts"
import { parseResolvConf, type ResolvConf } from "#actors/network/names/resolv-conf.ts"
import { zoneOf } from "#actors/network/names/zone.ts"
import type { OverlayTable } from "#actors/network/table.ts"

export const LiveNames = {
  /** Where we cannot lead questions to ourselves, the Engine goes on answering them. */
  layer: ({
    nodeId,
    dockerHost
  }: {
    readonly nodeId: string
    readonly dockerHost: string
  }): Layer.Layer<never, never, DataPlane> =>
    hindrance(dockerHost) === undefined ? Layer.effect(Names, served(nodeId)) : Layer.empty
}

const served = Effect.fnUntraced(function* (nodeId: string) {
  const dataPlane = yield* DataPlane
  const redirect = new Redirect(nodeId)
  let told: string | undefined
  const serve = Effect.fnUntraced(function* (tables: ReadonlyArray<OverlayTable>) {
    const zones = tables.map(zoneOf)
    const text = JSON.stringify(zones)
    if (text !== told) {
      // What goes wrong is tried again, and told, at the next look.
      told = undefined
      const problems = yield* dataPlane.name(zones)
      if (problems.length > 0) return { problems } satisfies NamesReport
      told = text
    }
    // A machine without `nft` lacks nothing while it has no overlays.
    yield* tables.length === 0 ? Effect.ignore(redirect.lead([])) : redirect.lead(tables)
    return { host: hostResolvConf(), problems: [] } satisfies NamesReport
  })
  return {
    serve: (tables: ReadonlyArray<OverlayTable>) =>
      serve(tables).pipe(
        Effect.catch(({ message }) =>
          Effect.sync((): NamesReport => {
            told = undefined
            return { problems: [message] }
          })
        ),
        Effect.map(({ problems, ...report }) => ({
          ...report,
          problems: problems.map((problem) => `names on overlays: ${problem}`)
        }))
      )
  }
})

function hostResolvConf(): ResolvConf {
  try {
    return parseResolvConf(readFileSync("/etc/resolv.conf", "utf8"))
  } catch {
    return parseResolvConf("")
  }
}
