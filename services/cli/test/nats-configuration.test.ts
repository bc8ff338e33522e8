/** infra/nats: what the script makes, for whose eyes, and what it refuses. That servers take it is cluster.test.ts's to show. */
import { X509Certificate } from "node:crypto"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fromSeed } from "@nats-io/nkeys"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import {
  addIdentities,
  makeNatsConfiguration,
  type NatsPlan,
  renewCertificates,
  seedFile
} from "../../../infra/nats/make-configuration.ts"
import { coordinatorPermissions, readerPermissions } from "../../../infra/nats/permissions.ts"

const root = mkdtempSync(join(tmpdir(), "meridian-nats-configuration-"))
const folder = join(root, "nats")
const server = (name: string, host: string) => ({
  name,
  host,
  port: 4222,
  routePort: 6222,
  store: `/var/lib/nats/${name}`
})
const plan: NatsPlan = {
  folder,
  servers: [server("n1", "nats1.example"), server("n2", "nats2.example"), server("n3", "127.0.0.1")],
  coordinators: ["a", "b"],
  readers: ["audit"],
  installedAt: "/etc/nats"
}
beforeAll(() => makeNatsConfiguration(plan))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const text = (name: string): string => readFileSync(join(folder, name), "utf8")
const certificate = (name: string): X509Certificate => new X509Certificate(text(`${name}.pem`))

describe("the configuration of a NATS cluster", () => {
  it("keeps every secret for its owner", () => {
    const secrets = readdirSync(folder).filter((name) => /\.(key|nkey)$/.test(name))
    expect(secrets.toSorted()).toEqual(
      [
        "ca.key",
        "n1.key",
        "n2.key",
        "n3.key",
        "coordinator-a.nkey",
        "coordinator-b.nkey",
        "reader-audit.nkey"
      ].toSorted()
    )
    for (const name of secrets) expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600)
    const others = readdirSync(folder).filter((name) => !secrets.includes(name))
    expect(others.toSorted()).toEqual([
      "accounts.conf",
      "ca.pem",
      "n1.conf",
      "n1.pem",
      "n2.conf",
      "n2.pem",
      "n3.conf",
      "n3.pem"
    ])
    for (const name of others) expect(text(name)).not.toMatch(/PRIVATE KEY|\bSU[A-Z2-7]{56}\b/)
  })

  it("certifies servers, by name, under an authority that can sign nothing below them", () => {
    const authority = certificate("ca")
    expect(authority.ca).toBe(true)
    for (const [name, host] of [
      ["n1", "nats1.example"],
      ["n2", "nats2.example"],
      ["n3", "localhost"]
    ] as const) {
      const own = certificate(name)
      expect(own.verify(authority.publicKey)).toBe(true)
      expect(own.ca).toBe(false)
      expect(own.checkHost(host)).toBe(host)
      expect(own.checkHost("nats9.example")).toBeUndefined()
      // TLS server, and client of the next server's route.
      expect(own.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"])
    }
    expect(certificate("n1").serialNumber).not.toBe(certificate("n2").serialNumber)
  })

  it("names each identity by its public key, once, with what it may do", () => {
    const accounts = text("accounts.conf")
    const found = [...accounts.matchAll(/nkey: (U[A-Z2-7]{55})/g)].map((match) => match[1])
    const seeds = (["a", "b"] as const).map((node) => seedFile(folder, "coordinator", node))
    const expected = [...seeds, seedFile(folder, "reader", "audit")].map((file) =>
      fromSeed(Buffer.from(readFileSync(file, "utf8").trim())).getPublicKey()
    )
    expect(found).toEqual(expected)
    for (const subject of [...coordinatorPermissions("a").publish, ...readerPermissions.publish])
      expect(accounts).toContain(JSON.stringify(subject))
    expect(accounts.match(/allow_responses/g)).toHaveLength(2)
  })

  it("points to where the files will lie, and asks for certificates on routes", () => {
    const first = text("n1.conf")
    expect(first).toContain('listen: "nats1.example:4222"')
    expect(first).toContain('cert_file: "/etc/nats/n1.pem"')
    expect(first).toContain('routes: ["tls://nats2.example:6222", "tls://127.0.0.1:6222"]')
    expect(first).toContain("verify: true")
    expect(first).not.toContain(root)
  })

  it("renews certificates under the same authority and leaves the rest", () => {
    const before = {
      authority: text("ca.pem"),
      accounts: text("accounts.conf"),
      serial: certificate("n1").serialNumber
    }
    renewCertificates(plan)
    expect({ authority: text("ca.pem"), accounts: text("accounts.conf") }).toEqual({
      authority: before.authority,
      accounts: before.accounts
    })
    expect(certificate("n1").serialNumber).not.toBe(before.serial)
    expect(certificate("n1").verify(certificate("ca").publicKey)).toBe(true)
  })

  it("takes more identities in later, each once", () => {
    addIdentities({ folder, coordinators: ["d"], readers: [] })
    const accounts = text("accounts.conf")
    const key = fromSeed(Buffer.from(text("coordinator-d.nkey").trim())).getPublicKey()
    expect(accounts.match(/nkey: U/g)).toHaveLength(4)
    expect(accounts.indexOf(key)).toBeGreaterThan(accounts.indexOf("reader audit"))
    expect(accounts).toContain(JSON.stringify("meridian.clock.d"))
    expect(accounts.endsWith("      }\n    ]\n  }\n}\n")).toBe(true)
    expect(() => addIdentities({ folder, coordinators: ["d"], readers: [] })).toThrow("is there already")
    expect(() => addIdentities({ folder: root, coordinators: ["e"], readers: [] })).toThrow(
      "not one that was made here"
    )
    expect(text("accounts.conf")).toBe(accounts)
  })

  it.each([
    ["a second time", {}, "holds a configuration already"],
    [
      "an address",
      { folder: join(root, "x"), servers: [server("n1", "192.0.2.1")] },
      "clients check certificates by name"
    ],
    ["no server", { folder: join(root, "x"), servers: [] }, "at least one server"],
    ["no coordinator", { folder: join(root, "x"), coordinators: [] }, "one coordinator"]
  ])("refuses %s", (_what, changes, why) => {
    expect(() => makeNatsConfiguration({ ...plan, ...changes })).toThrow(why)
    expect(existsSync(join(root, "x"))).toBe(false)
  })
})

describe("the permissions", () => {
  it("let a reader publish no event, command, lease or key, and create nothing", () => {
    for (const subject of readerPermissions.publish)
      expect(subject).toMatch(/^\$JS\.API\.(STREAM\.INFO|STREAM\.MSG\.GET|DIRECT\.GET)\.MERIDIAN(\.>)?$/)
    expect(readerPermissions.subscribe).not.toContain("_INBOX.>")
  })
  it("let nobody delete a stream, change one or do everything", () => {
    for (const { publish, subscribe } of [coordinatorPermissions("a"), readerPermissions])
      for (const subject of [...publish, ...subscribe])
        expect(subject).not.toMatch(/STREAM\.(DELETE|UPDATE)|^>$|^\$JS\.API\.>$|^\*/)
  })
})
