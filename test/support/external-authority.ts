/** A CA outside of the cluster, as CFSSL is one: it signs what it is asked for with the root's key, which it has. */
import { createServer } from "node:https"
import type { AddressInfo } from "node:net"
import { Effect } from "effect"
import type { CertificateFields } from "#actors/authority/certify.ts"
import { newRequest, type Signer, sign } from "#actors/authority/x509.ts"

export interface ExternalAuthority {
  readonly url: string
  /** The subjects that it was asked to sign. */
  readonly asked: ReadonlyArray<string>
  readonly close: () => void
}

const hour = 3_600_000
const good = () => ({ notBefore: Date.now() - hour, notAfter: Date.now() + 24 * hour })

/** `change` makes something else of what it is asked for; undefined refuses it. `by` signs instead of the server's root. */
export async function openAuthority(
  signer: Signer,
  change: (fields: CertificateFields) => CertificateFields | undefined = (fields) => fields,
  by: Signer = signer
): Promise<ExternalAuthority> {
  const own = await Effect.runPromise(newRequest)
  const subject = "O=elsewhere, OU=ca, CN=authority"
  const names = { subject, dnsNames: [], addresses: ["127.0.0.1"], ...good() }
  const cert = await Effect.runPromise(sign(signer, own.pem, names))
  const asked: Array<string> = []
  const answer = async (text: string): Promise<object> => {
    const { certificate_request: csr, hosts, subject: who } = JSON.parse(text)
    const fields = change({
      subject: `O=${who.names[0].O}, OU=${who.names[0].OU}, CN=${who.CN}`,
      dnsNames: hosts.filter((host: string) => !/^[\d.]+$|:/.test(host)),
      addresses: hosts.filter((host: string) => /^[\d.]+$|:/.test(host)),
      ...good()
    })
    asked.push(who.CN)
    if (fields === undefined)
      return { success: false, result: null, errors: [{ code: 1, message: "not today" }] }
    const certificate = await Effect.runPromise(sign({ ...by, crossSigned: [] }, csr, fields))
    return { success: true, result: { certificate }, errors: [] }
  }
  const server = createServer({ key: own.key, cert }, (request, response) => {
    let text = ""
    request.on("data", (part) => {
      text += String(part)
    })
    request.on("end", () => void answer(text).then((said) => response.end(JSON.stringify(said))))
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  return { url: `https://127.0.0.1:${port}/api/v1/cfssl/sign`, asked, close: () => void server.close() }
}
