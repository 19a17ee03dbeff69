/** Names as the data-plane process of this machine answers them. */
import { Effect, Layer } from "effect"
import { DataPlane } from "#actors/drivers/data-plane.ts"
import { hindrance } from "#actors/drivers/kernel/hindrance.ts"
import { namesTable } from "#actors/drivers/kernel/names.ts"
import { OwnTables } from "#actors/drivers/kernel/own-tables.ts"
import { HostResolvConf } from "#actors/drivers/machine/host-resolv-conf.ts"
import { gatewaysOf, rulesFor } from "#actors/drivers/names/redirect.ts"
import { Names, type NamesReport } from "#actors/drivers/names.ts"
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
  const redirect = new OwnTables()
  const host = new HostResolvConf()
  let told: ReadonlyArray<OverlayTable> | undefined
  const serve = Effect.fnUntraced(function* (tables: ReadonlyArray<OverlayTable>, isLook?: boolean) {
    if (tables !== told) {
      // What goes wrong is tried again, and told, at the next look.
      told = undefined
      const problems = yield* dataPlane.name(tables.map(zoneOf))
      if (problems.length > 0) return { problems } satisfies NamesReport
      told = tables
    }
    const { failed } = yield* redirect.bring(
      new Map([[namesTable(nodeId), rulesFor(nodeId, gatewaysOf(tables))]]),
      isLook
    )
    if (failed.size > 0) return { problems: [...failed.values()] } satisfies NamesReport
    return { host: host.now(), problems: [] } satisfies NamesReport
  })
  return {
    serve: (tables: ReadonlyArray<OverlayTable>, isLook?: boolean) =>
      serve(tables, isLook).pipe(
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
