/** How the dashboard's own routes answer: never from a cache, and never as anything but what they say they are. */
import type { Context } from "hono"

/** Nothing is loaded from elsewhere, no script or style stands in a page, and no other page may frame ours. */
export const safe: Readonly<Record<string, string>> = {
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
  "Cache-Control": "no-store"
}

export const say = (context: Context, body: unknown, status: 200 | 201 | 400 | 404 | 409 | 500 | 503 = 200) =>
  context.json(body as object, status, safe)

export const sayNo = (context: Context, message: string, status: 400 | 404 | 409 | 500 | 503) =>
  say(context, { message }, status)
