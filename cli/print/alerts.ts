/** What is wrong with the cluster, as `GET /alerts` answers, for people. */
import { table } from "#cli/print/table.ts"

export interface Alert {
  readonly Condition: string
  readonly Object: { readonly Kind: string; readonly Name: string }
  readonly Since: string
  readonly Says: string
}

export const alertTable = (alerts: ReadonlyArray<Alert>): string =>
  table(
    ["ALERT", "SINCE", "WHAT"],
    alerts.map(({ Condition, Since, Says }) => [Condition, Since, Says])
  )
