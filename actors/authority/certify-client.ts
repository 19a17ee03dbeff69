/** What the certificate of another system says: it opens TLS to nats-servers and nothing else, rights hang on the nkey. */
import { backDateMs, type CertificateFields } from "#actors/authority/certify.ts"

/** Good until `notAfter`, the root's own end: who is shut out has no nkey any more. No node is called by its names. */
export const certifyClient = (
  name: string,
  clusterId: string,
  now: number,
  notAfter: number
): CertificateFields => ({
  subject: `O=${clusterId}, OU=troupe-client, CN=client-${name}`,
  dnsNames: [`${name}.client.troupe.internal`],
  addresses: [],
  notBefore: now - backDateMs,
  notAfter,
  isClient: true
})
