/** Every word of an `nts` line, and `extra port`, in the spelling of NTPsec's guide: a live node does what it says. */
import { execFile } from "node:child_process"
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { makeCertificate } from "@meridian/testkit/certificates"
import { PATIENCE_MS } from "@meridian/testkit/patience"
import { freePort, type Finished, meridian, type RunningNode, startNode } from "@meridian/testkit/running-node"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"

const folder = mkdtempSync(join(tmpdir(), "meridian-nts-words-"))
const file = (name: string): string => join(folder, name)
const [key, certificate] = [file("key.pem"), file("cert-chain.pem")]

beforeAll(() => makeCertificate({ key, certificate, subject: "/CN=given", names: "DNS:localhost,IP:127.0.0.1" }))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A node with these lines, on a port of its own. */
const withLines = async (...lines: readonly string[]): Promise<RunningNode> => {
  const configuration = file(`${lines.length}-${Math.trunc(performance.now())}.conf`)
  writeFileSync(configuration, `${["listen 127.0.0.1", "workers 1", ...lines].join("\n")}\n`)
  return startNode({ args: ["--config", configuration] })
}

const query = (port: number, ...args: readonly string[]): Promise<Finished> =>
  meridian(["query", "--nts", "--ca", certificate, ...args, `localhost:${port}`])

/** What openssl says of a handshake. */
const handshake = (port: number, ...args: readonly string[]): Promise<string> =>
  new Promise((done) => {
    const target = ["s_client", "-connect", `127.0.0.1:${port}`, "-alpn", "ntske/1", ...args]
    const child = execFile("openssl", target, { timeout: PATIENCE_MS }, (_error, stdout, stderr) =>
      done(stdout + stderr)
    )
    child.stdin?.end()
  })

describe("a node with everything said", () => {
  let node: RunningNode
  let [port, extra] = [0, 0]
  beforeAll(async () => {
    ;[port, extra] = [await freePort(), await freePort()]
    node = await withLines(
      `nts key ${key}`,
      `nts cert ${certificate}`,
      `nts cookie ${file("nts-keys")}`,
      "nts aead AES_SIV_CMAC_256",
      "nts mintls TLS1.3",
      "nts maxtls TLS1.3",
      "nts tlsciphersuites TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384 tlscipherserverpreference",
      "nts tlsecdhcurves secp384r1:prime256v1",
      `nts port ${port}`,
      `extra port ${extra}`
    )
  })
  afterAll(() => node.stop())

  it("starts without a remark about any of it", () => {
    const remarks = node
      .stderr()
      .split("\n")
      .filter((line) => !line.includes('"level":"info"'))
    expect(remarks.join("\n")).not.toMatch(/nts|extra/)
  })

  it("cert and key enable it, port is where keys are exchanged, extra port what the port record says and answers", async () => {
    const { code, stdout: printed } = await query(port)
    const stdout = printed.replaceAll("\n    ", " ")
    expect(code).toBe(0)
    expect(stdout).toMatch(new RegExp(`AES_SIV_CMAC_256, 8 cookies, certificate CN=given .* port ${extra}\\n`))
    expect(stdout).toMatch(/authenticated, 8 cookies left/)
    for (const ntp of [node.port, extra]) expect((await meridian(["query", `127.0.0.1:${ntp}`])).code).toBe(0)
  })

  it("aead is the one algorithm agreed on", async () => {
    const { code, stderr } = await query(port, "--aead", "AES_SIV_CMAC_512")
    expect(code).toBe(1)
    expect(stderr).toMatch(/none of the AEADs 17.*--aead/)
  })

  it("mintls and maxtls let nothing but TLS 1.3 in", async () => {
    expect(await handshake(port, "-tls1_2")).toMatch(/alert protocol version/)
    expect(await handshake(port, "-tls1_3")).toContain("ALPN protocol: ntske/1")
  })

  it("tlsciphersuites are those taken, in the server's order", async () => {
    const suites = (list: string) => handshake(port, "-ciphersuites", list)
    const both = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
    expect(await suites(both)).toMatch(/Cipher is TLS_CHACHA20_POLY1305_SHA256/)
    expect(await suites("TLS_AES_256_GCM_SHA384")).toMatch(/Cipher is TLS_AES_256_GCM_SHA384/)
    expect(await suites("TLS_AES_128_GCM_SHA256")).toMatch(/alert handshake failure/)
  })

  it("tlsecdhcurves are those taken", async () => {
    expect(await handshake(port, "-groups", "X25519:P-256")).toMatch(/ECDH, (?:P-256|prime256v1), 256 bits/)
    expect(await handshake(port, "-groups", "P-384")).toMatch(/ECDH, (?:P-384|secp384r1), 384 bits/)
    expect(await handshake(port, "-groups", "X25519")).toMatch(/alert handshake failure/)
  })

  it("cookie keeps the master keys", () => expect(statSync(file("nts-keys")).mode & 0o777).toBe(0o600))
})

describe("other words", () => {
  it("ntpserver and ntpport send clients to another node's NTP", async () => {
    const port = await freePort()
    const node = await withLines(`nts cert ${certificate} key ${key} port ${port}`, "nts ntpserver 127.0.0.9 ntpport 1")
    try {
      const { stdout, stderr } = await query(port)
      expect(stdout + stderr).toMatch(/127\.0\.0\.9.*\b1\b/)
    } finally {
      await node.stop()
    }
  })

  it("exchangeonly answers no NTP but on loopback, and sends clients to who does", async () => {
    const [port, elsewhere] = [await freePort(), await withLines(`nts cert ${certificate} key ${key}`)]
    const words = [`nts enable exchangeonly cert ${certificate} key ${key} port ${port}`]
    // 127.0.0.2 is an address that the node listens on, and no loopback address to it.
    const node = await withLines(
      ...words,
      "nts ntpserver 127.0.0.1",
      `nts ntpport ${elsewhere.port}`,
      "listen 127.0.0.2"
    )
    try {
      expect((await query(port)).stdout).toContain(`time from 127.0.0.1 port ${elsewhere.port}`)
      expect((await node.status())["listening"]).toEqual([`127.0.0.1:${node.port}`])
      expect((await meridian(["query", `127.0.0.1:${node.port}`])).code).toBe(0)
      expect((await meridian(["query", `127.0.0.2:${node.port}`])).code).toBe(1)
    } finally {
      await node.stop()
      await elsewhere.stop()
    }
  })

  it("mintls TLS1.2 lets TLS 1.2 in, with a warning", async () => {
    const port = await freePort()
    const node = await withLines(`nts enable cert ${certificate} key ${key} port ${port}`, "nts mintls TLS1.2")
    try {
      expect(node.stderr()).toMatch(/RFC 8915 §3 asks for TLS 1\.3/)
      expect(await handshake(port, "-tls1_2", "-cipher", "ECDHE+AESGCM")).toMatch(/Cipher is ECDHE-ECDSA/)
    } finally {
      await node.stop()
    }
  })

  it("disable switches off what stood before it, and time goes on without NTS", async () => {
    const port = await freePort()
    const node = await withLines(`nts cert ${certificate} key ${key}`, `nts port ${port}`, "nts disable")
    try {
      expect(await query(port)).toMatchObject({
        code: 1,
        stderr: expect.stringContaining("nobody listens there") as string
      })
      expect((await meridian(["query", `127.0.0.1:${node.port}`])).code).toBe(0)
    } finally {
      await node.stop()
    }
  })

  it("ca is what a client trusts, and without it the server is not followed", async () => {
    const port = await freePort()
    const server = await withLines(`nts cert ${certificate} key ${key}`, `nts port ${port}`)
    const source = `server localhost:${port} nts iburst minpoll 0 maxpoll 0`
    const trusting = await withLines(source, `nts ca ${certificate}`)
    const wary = await withLines(source)
    type Told = readonly { readonly authentication: { readonly kind: string; readonly cookies: number } }[]
    const cookiesOf = async ({ state }: RunningNode): Promise<readonly number[]> => {
      const sources = JSON.parse((await meridian(["sources", "--json", "--state", state])).stdout) as Told
      return sources.map(({ authentication: { kind, cookies } }) => (kind === "nts" ? cookies : Number.NaN))
    }
    try {
      await vi.waitFor(async () => expect((await cookiesOf(trusting))[0]).toBeGreaterThanOrEqual(7), {
        timeout: PATIENCE_MS,
        interval: 300
      })
      await vi.waitFor(() => expect(wary.stderr()).toMatch(/NTS keys from localhost .*self-signed certificate/), {
        timeout: PATIENCE_MS
      })
      expect(await cookiesOf(wary)).toEqual([0])
    } finally {
      for (const node of [wary, trusting, server]) await node.stop()
    }
  })
})
