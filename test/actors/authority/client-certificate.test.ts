/** What another system is given to show: TLS takes it from a client, and it passes for no node. */
import { expect, test } from "bun:test"
import { X509Certificate } from "node:crypto"
import tls from "node:tls"
import { Effect } from "effect"
import { certify, parseSubject } from "#actors/authority/certify.ts"
import { issueClientCertificate } from "#actors/authority/client-certificate.ts"
import { newRoots } from "#actors/authority/membership.ts"
import { newRequest, readCertificate, sign } from "#actors/authority/x509.ts"

const now = Date.now()
const roots = await Effect.runPromise(newRoots(now))
const issued = await Effect.runPromise(issueClientCertificate(roots, "swarm-manager", "c1", now))
const request = await Effect.runPromise(newRequest)
const node = await Effect.runPromise(
  sign(
    roots.ca,
    request.pem,
    certify({ nodeId: "n1", clusterId: "c1", role: "manager", addresses: [] }, now, 3_600_000)
  )
)

test("it ends with the root, and names no node and no role, whatever the client is called", async () => {
  const certificate = new X509Certificate(issued.certificate)
  expect(certificate.checkIssued(new X509Certificate(issued.root))).toBe(true)
  expect(Date.parse(certificate.validTo)).toBe(Date.parse(new X509Certificate(issued.root).validTo))
  expect(certificate.subjectAltName).toBe("DNS:swarm-manager.client.troupe.internal")
  expect(parseSubject(certificate.subject)).toBeUndefined()
  const read = Effect.runPromise(readCertificate(issued.certificate, issued.root))
  await expect(read).rejects.toThrow("its subject is not a node's")
  const clientAuthentication = "1.3.6.1.5.5.7.3.2"
  expect(certificate.keyUsage).toEqual([clientAuthentication])
})

/** What a client by the root says of a server that shows `shown`, and whether that server took the client's. */
function greet(shown: { key: string; cert: string }, own: { key: string; cert: string }): Promise<string> {
  return new Promise((resolve) => {
    const server = tls.createServer({ ...shown, ca: issued.root, requestCert: true }, (socket) => {
      socket.on("error", () => {})
      socket.end("welcome")
    })
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number }
      const say = (words: string): void => {
        server.close()
        resolve(words)
      }
      const socket = tls.connect({ port, host: "127.0.0.1", ca: issued.root, ...own })
      socket.on("data", (words) => say(`${words}`))
      socket.on("error", ({ message }) => say(message))
    })
  })
}

test("servers take it from a client, and clients take it from no server", async () => {
  const asNode = { key: request.key, cert: node }
  const asClient = { key: issued.key, cert: issued.certificate }
  expect(await greet(asNode, asClient)).toBe("welcome")
  expect(await greet(asClient, asNode)).not.toBe("welcome")
})
