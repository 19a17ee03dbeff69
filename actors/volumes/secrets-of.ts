/** The secrets of a volume, which its plugin asks for with every call. */
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Volume } from "#actors/model/objects.ts"
import { decodeBase64 } from "#actors/task/base64.ts"

/** Values by the keys that people gave. */
export const secretsOf = (ledger: LedgerReader, { Spec }: Volume): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Spec.Secrets.flatMap(({ Key, Secret }) => {
      const data = ledger.get("secret", Secret)?.Spec.Data
      return data === undefined ? [] : [[Key, decodeBase64(data)]]
    })
  )
