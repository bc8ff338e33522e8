import { expect, it } from "vitest"
import { parseArguments } from "../src/arguments.ts"

it.each([
  ["/etc/a.pem,/etc/a.key", "/etc/a.pem", "/etc/a.key"],
  ["/etc/a,b/c.pem,/etc/a,b/c,d.key", "/etc/a,b/c.pem", "/etc/a,b/c,d.key"],
  ["/etc/a.pem,a.key", "/etc/a.pem", "a.key"],
  ["a,b.pem,a.key", "a,b.pem", "a.key"]
])("%s is a certificate and its key", (text, certificate, key) => {
  expect(parseArguments(["--bind", "127.0.0.1,0", "--certificate", text])?.certificates).toEqual([{ certificate, key }])
})
