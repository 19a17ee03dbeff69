import { expect, test } from "bun:test"
import { httpRouteOf, parseHttpRoute } from "#actors/model/http-route.ts"

const labels = (given: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(given).map(([name, value]) => [`troupe.http.${name}`, value]))

test("labels say which requests are a service's, and how its tasks take them", () => {
  expect(httpRouteOf({ Labels: {} })).toBeUndefined()
  expect(httpRouteOf({ Labels: labels({ host: "Shop.Example.com" }) })).toEqual({
    host: "shop.example.com",
    path: "/",
    port: 80,
    protocol: "http1"
  })
  const all = labels({ host: "shop", path: "/api/v1", port: "8080", protocol: "h2c" })
  expect(httpRouteOf({ Labels: all })).toEqual({
    host: "shop",
    path: "/api/v1/",
    port: 8080,
    protocol: "h2c"
  })
  const tls = (given: Readonly<Record<string, string>>) =>
    httpRouteOf({ Labels: labels({ host: "shop", tls: "shop-cert", ...given }) })?.tls
  expect(tls({})).toEqual({ secret: "shop-cert", redirect: true })
  expect(tls({ "tls.redirect": "false" })).toEqual({ secret: "shop-cert", redirect: false })
  expect(tls({ tls: "acme" })).toEqual({ secret: "acme", redirect: true })
})

test.each([
  [{ path: "/api" }, 'path "/api"', "label troupe.http.host beside it"],
  [{ host: "my shop" }, 'host "my shop"', "a host name"],
  [{ host: "shop:80" }, 'host "shop:80"', "a host name"],
  [{ host: "shop", path: "api" }, 'path "api"', "begins with /"],
  [{ host: "shop", path: "/a b" }, 'path "/a b"', "begins with /"],
  [{ host: "shop", path: "/a;show" }, 'path "/a;show"', "begins with /"],
  [{ host: "shop", path: "//a" }, 'path "//a"', "begins with /"],
  [{ host: "shop", port: "http" }, 'port "http"', "from 1 to 65535"],
  [{ host: "shop", port: "0" }, 'port "0"', "from 1 to 65535"],
  [{ host: "shop", port: "65536" }, 'port "65536"', "from 1 to 65535"],
  [{ host: "shop", protocol: "h3" }, 'protocol "h3"', "h2c"],
  [{ host: "shop", tls: "" }, 'tls ""', "the name of a secret"],
  [{ host: "shop", tls: "a/b" }, 'tls "a/b"', "the name of a secret"],
  [{ host: "shop", tls: "cert", "tls.redirect": "no" }, 'tls.redirect "no"', "true or false"],
  [{ host: "shop", "tls.redirect": "true" }, 'tls.redirect "true"', "label troupe.http.tls beside it"],
  [{ host: "shop", hots: "x" }, 'hots "x"', "troupe.http.host, troupe.http.path"]
])("%p is refused with the label, its value and what is expected", (given, named, expected) => {
  const parsed = parseHttpRoute(labels(given as Record<string, string>))
  expect(parsed).toEqual({ problem: expect.stringContaining(`label troupe.http.${named}: expected `) })
  expect(parsed).toEqual({ problem: expect.stringContaining(expected) })
})
