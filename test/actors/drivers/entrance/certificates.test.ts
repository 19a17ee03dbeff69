import { expect, test } from "bun:test"
import {
  certificatesOf,
  exchange,
  noCertificates,
  parseCertificates,
  unshown
} from "#actors/drivers/entrance/certificates.ts"
import type { ServiceRow } from "#actors/network/table.ts"
import { overlayTable } from "#test/support/overlay-table.ts"
import { siteCertificate } from "#test/support/site-certificate.ts"

const [long, short] = [await siteCertificate(["shop"], [-1, 90]), await siteCertificate(["shop"], [-1, 30])]
const row = (name: string, host: string, path: string, secret: string): ServiceRow => ({
  serviceId: name,
  name,
  aliases: [],
  vips: [],
  ports: [],
  http: { host, path, port: 80, protocol: "http1", tls: { secret, redirect: true } },
  tasks: []
})
const secret = (name: string, data: string) => ({ id: name, name, data })
const secrets = [secret("old", short.data), secret("new", long.data), secret("bad", "c3NzaA==")]
const of = (...services: ReadonlyArray<ServiceRow>) => certificatesOf([overlayTable({ services })], secrets)

test("a host is shown by the certificate that ends last of those that its services name, once", () => {
  const [one, ...others] = of(row("a", "shop", "/", "new"), row("b", "shop", "/b/", "old")).shown
  expect(others).toEqual([])
  expect(one).toMatchObject({ host: "shop", pem: long.certificate + long.key })
  expect(of(row("a", "shop", "/", "old"), row("b", "shop", "/b/", "new")).shown).toEqual(one ? [one] : [])
  expect(one?.file).not.toBe(of(row("a", "shop", "/", "old")).shown[0]?.file)
})

test("what cannot be shown is told with its label, and keeps nothing else from being shown", () => {
  const { shown, problems } = of(
    row("a", "a", "/", "bad"),
    row("b", "b", "/", "none"),
    row("c", "c", "/", "new")
  )
  expect(shown.map(({ host }) => host)).toEqual(["c"])
  expect(problems).toEqual([
    'service a cannot be asked by TLS: label troupe.http.tls "bad": expected a certificate in PEM, found none',
    'service b cannot be asked by TLS: label troupe.http.tls "none": this node was not given the secret'
  ])
})

test("another certificate is shown before the one before it is taken away", () => {
  const { shown: before } = of(row("a", "shop", "/", "old"))
  const { shown: after } = of(row("a", "shop", "/", "new"))
  const [old, fresh] = [before[0]?.file ?? "", after[0]?.file ?? ""]
  const actual = { files: new Set([old]), shown: new Set([old]), pending: undefined }
  expect(exchange(before, actual, "/l")).toEqual({ coming: [], leaving: [] })
  expect(exchange(after, actual, "/l")).toEqual({
    coming: [
      `new ssl cert ${fresh}`,
      `set ssl cert ${fresh} <<\n${long.certificate}${long.key}`,
      `commit ssl cert ${fresh}`,
      `add ssl crt-list /l <<\n${fresh} shop\n`
    ],
    leaving: [`del ssl crt-list /l ${old}`, `del ssl cert ${old}`]
  })
  expect(unshown(after, actual)).toEqual([
    "host shop cannot be asked by TLS: haproxy does not take its certificate"
  ])
})

test("what another daemon left half done is given up, and done", () => {
  const { shown } = of(row("a", "shop", "/", "new"))
  const file = shown[0]?.file ?? ""
  const left = parseCertificates(
    `# transaction\n*${file}\n# filename\n${file}\nx.pem\n\n`,
    "# /l\nx.pem [alpn h2] x\n"
  )
  expect(left).toEqual({ files: new Set([file, "x.pem"]), shown: new Set(["x.pem"]), pending: file })
  const { coming, leaving } = exchange(shown, left, "/l")
  expect(coming.map((command) => command.split(" ")[0])).toEqual(["abort", "set", "commit", "add"])
  expect(leaving).toEqual(["del ssl crt-list /l x.pem", "del ssl cert x.pem"])
  expect(exchange([], noCertificates, "/l")).toEqual({ coming: [], leaving: [] })
})
