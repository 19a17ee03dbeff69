/**
 * The certificates that haproxy holds, in memory alone, under names that stand for their content: another certificate
 * is there beside the one before, until that is taken away. Connections keep what they began with.
 */
import { createHash } from "node:crypto"
import { tlsLabel } from "#actors/model/http-route.ts"
import { type Certificate, readCertificateOnce } from "#actors/network/certificate-file.ts"
import type { OverlayTable } from "#actors/network/table.ts"
import type { AssignedFile } from "#actors/node/protocol.ts"

export interface WantedCertificate {
  readonly host: string
  /** What haproxy calls it. */
  readonly file: string
  readonly pem: string
}

export interface ActualCertificates {
  /** All that it has. */
  readonly files: ReadonlySet<string>
  /** Those that it shows, by the list. */
  readonly shown: ReadonlySet<string>
  /** One that somebody began to change. */
  readonly pending: string | undefined
}

export const noCertificates: ActualCertificates = { files: new Set(), shown: new Set(), pending: undefined }

/**
 * One per host that has any. Services that share a host may have different ones, as while one is replaced: then the one
 * that ends last is shown.
 */
export function certificatesOf(
  tables: ReadonlyArray<OverlayTable>,
  secrets: ReadonlyArray<AssignedFile>
): { readonly shown: ReadonlyArray<WantedCertificate>; readonly problems: ReadonlyArray<string> } {
  const held = new Map(secrets.map((secret) => [secret.name, readCertificateOnce(secret, secret.data)]))
  const best = new Map<string, Certificate>()
  const problems: Array<string> = []
  for (const { name, http } of tables.flatMap(({ services }) => services)) {
    if (http?.tls === undefined) continue
    const read = held.get(http.tls.secret)
    if (read === undefined || "problem" in read) {
      const problem = read?.problem ?? "this node was not given the secret"
      problems.push(
        `service ${name} cannot be asked by TLS: label ${tlsLabel} "${http.tls.secret}": ${problem}`
      )
      continue
    }
    const before = best.get(http.host)
    if (before === undefined || isBetter(read.certificate, before)) best.set(http.host, read.certificate)
  }
  const shown = [...best].map(([host, { pem }]) => ({
    host,
    file: `${host}.${createHash("sha256").update(pem).digest("hex").slice(0, 32)}.pem`,
    pem
  }))
  return { shown: shown.sort((a, b) => (a.host < b.host ? -1 : 1)), problems }
}

/** Of two that end at once it does not matter which, only that it stays the same. */
const isBetter = (a: Certificate, b: Certificate): boolean =>
  a.validTo > b.validTo || (a.validTo === b.validTo && a.pem > b.pem)

/** The commands that load what is new, and those that take away what is not wanted. */
export function exchange(
  wanted: ReadonlyArray<WantedCertificate>,
  { files, shown, pending }: ActualCertificates,
  list: string
): { readonly coming: ReadonlyArray<string>; readonly leaving: ReadonlyArray<string> } {
  // There is one such change at a time.
  const coming: Array<string> = pending === undefined ? [] : [`abort ssl cert ${pending}`]
  for (const { host, file, pem } of wanted) {
    if (shown.has(file)) continue
    if (!files.has(file)) coming.push(`new ssl cert ${file}`)
    coming.push(`set ssl cert ${file} <<\n${pem}`, `commit ssl cert ${file}`)
    coming.push(`add ssl crt-list ${list} <<\n${file} ${host}\n`)
  }
  const kept = new Set(wanted.map(({ file }) => file))
  const leaving = [
    ...[...shown].filter((file) => !kept.has(file)).map((file) => `del ssl crt-list ${list} ${file}`),
    ...[...files].filter((file) => !kept.has(file)).map((file) => `del ssl cert ${file}`)
  ]
  return { coming, leaving }
}

/** What of the commands has to be true once they are carried out. */
export const unshown = (
  wanted: ReadonlyArray<WantedCertificate>,
  { shown }: ActualCertificates
): ReadonlyArray<string> =>
  wanted.flatMap(({ host, file }) =>
    shown.has(file) ? [] : [`host ${host} cannot be asked by TLS: haproxy does not take its certificate`]
  )

/** `show ssl cert` and `show ssl crt-list`: names, one a line; one that is being changed has a star. */
export function parseCertificates(certificates: string, list: string): ActualCertificates {
  const names = linesOf(certificates)
  return {
    files: new Set(names.filter((name) => !name.startsWith("*"))),
    shown: new Set(linesOf(list).map((line) => line.split(" ")[0] ?? "")),
    pending: names.find((name) => name.startsWith("*"))?.slice(1)
  }
}

const linesOf = (text: string): ReadonlyArray<string> =>
  text.split("\n").filter((line) => line !== "" && !line.startsWith("#"))
