/** The dashboard's own files, which anybody may have: they hold nothing of the cluster. */
import { createHash } from "node:crypto"
import type { Context } from "hono"
import { safe, sayNo } from "#actors/gateway/dashboard/answers.ts"

/** File name to what is in it: `index.html`, and what it loads from `assets/`. */
export type Pages = ReadonlyMap<string, Uint8Array<ArrayBuffer>>

/** Asked for at most once at a time, and again after it failed. */
export type LoadPages = () => Promise<Pages>

const types: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml"
}

export function servePages(
  load: LoadPages | undefined
): (context: Context, name: string) => Promise<Response> {
  let loading: Promise<Pages> | undefined
  const pages = (): Promise<Pages> | undefined => {
    loading ??= load?.().catch((cause: unknown) => {
      loading = undefined
      throw cause
    })
    return loading
  }
  return async (context, name) => {
    const file = (await pages())?.get(name)
    if (file === undefined) return sayNo(context, "page not found", 404)
    const etag = `"${createHash("sha256").update(file).digest("base64url").slice(0, 22)}"`
    const headers = {
      ...safe,
      "Cache-Control": "no-cache",
      "Content-Type": types[name.split(".").at(-1) ?? ""] ?? "application/octet-stream",
      ETag: etag
    }
    return context.req.header("if-none-match") === etag
      ? new Response(null, { status: 304, headers })
      : new Response(file, { headers })
  }
}
