/**
 * Autokey with unmodified classic ntpd 4.2.8p15: it follows a node and a node follows it, by files that `ntp-keygen` makes.
 * All schemes under MERIDIAN_LONG=1; otherwise trusted certificates in one direction and IFF in the other.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { canMakeNamespaces } from "@meridian/testkit/network-namespace"
import { peersAvailable } from "@meridian/testkit/real-peers"
import { meridian } from "@meridian/testkit/running-node"
import { COMPLETE, cryptostats, flagsIn, hasFlags, keygen, ownClock } from "./autokey-hosts.ts"
import { sources, until } from "./peer-stage.ts"
import { onStage, type Stage } from "./stage.ts"
import { askClassic, SERVER, startClassicIn, startNodeIn, twoNetworks } from "./two-networks.ts"

const suite = "Autokey"
const available = peersAvailable(suite, ["classic-ntpd", "classic-ntpq"]) && canMakeNamespaces(suite)
const isLong = process.env["MERIDIAN_LONG"] === "1"
const SLOW_MS = 400_000
interface Scheme {
  readonly name: string
  /** Of `ntp-keygen`, on the trusted host beside -T and on its client. */
  readonly trusted?: readonly string[]
  readonly client?: readonly string[]
  /** The link by which a client finds its group's parameters. */
  readonly parameters?: string
  readonly digest?: string
  readonly family?: "v4" | "v6"
  /** Both have the one certificate that everybody of their group holds. */
  readonly isPrivate?: boolean
  /** Of the association, when the table of leap seconds is verified: the lowest 16 bits. */
  readonly flags: number
}

const schemes: readonly Scheme[] = [
  { name: "trusted certificates", flags: COMPLETE },
  { name: "RSA-SHA1", trusted: ["-c", "RSA-SHA1"], client: ["-c", "RSA-SHA1"], digest: "SHA1", flags: COMPLETE },
  { name: "RSA-SHA256", trusted: ["-c", "RSA-SHA256"], client: ["-c", "RSA-SHA256"], flags: COMPLETE },
  { name: "IPv6", family: "v6", flags: COMPLETE },
  { name: "a private certificate", isPrivate: true, flags: COMPLETE },
  { name: "IFF", trusted: ["-I"], parameters: "iffpar", flags: COMPLETE | 0x20 },
  { name: "MV", trusted: ["-V", "3"], parameters: "mvpar", flags: COMPLETE | 0x80 }
]

/** The two key directories, and the words of a configuration line that go with them. */
const makeKeys = (stage: Stage, { trusted = [], client = [], parameters, isPrivate }: Scheme) => {
  const [theirs, ours] = [stage.folder.file("server-keys"), stage.folder.file("client-keys")]
  for (const folder of [theirs, ours]) mkdirSync(folder)
  keygen(theirs, isPrivate === true ? "-P" : "-T", "-p", "srvpw", "-s", "alice@wonder", ...trusted)
  if (isPrivate === true) return { server: theirs, client: theirs, host: "alice", password: "srvpw", ident: "" }
  keygen(ours, "-p", "clipw", "-s", "bob@wonder", ...client)
  if (parameters !== undefined) {
    const exported = keygen(theirs, "-e", "-p", "srvpw", "-s", "alice@wonder")
    writeFileSync(join(ours, `ntpkey_${parameters}_wonder`), exported)
  }
  const ident = parameters === undefined ? "" : " ident wonder"
  return { server: theirs, client: ours, host: "bob", password: "clipw", ident }
}

const alice = (stage: Stage, keys: string, digest: string): readonly string[] => [
  `keysdir ${keys}`,
  `crypto host alice pw srvpw${digest}`,
  ...ownClock(stage)
]

const chosen = (all: readonly Scheme[], brief: string): readonly Scheme[] =>
  isLong ? all : all.filter(({ name }) => name === brief)

describe.runIf(available).concurrent("classic ntpd follows a node", { timeout: SLOW_MS }, () => {
  it.each(chosen(schemes, "IFF"))("by $name", (scheme) =>
    onStage(async (stage) => {
      const keys = makeKeys(stage, scheme)
      const { server, client } = twoNetworks(stage)
      const digest = scheme.digest === undefined ? "" : ` digest ${scheme.digest}`
      const address = SERVER[scheme.family ?? "v4"]
      // As packaged files of classic ntpd have it: an exchange asks no oftener than a client may.
      const limits = ["restrict default limited kod nomodify", "restrict 127.0.0.1"]
      await startNodeIn(stage, server, [...alice(stage, keys.server, digest), ...limits])
      await startClassicIn(stage, client, [
        `keysdir ${keys.client}`,
        `crypto host ${keys.host} pw ${keys.password}${digest}`,
        `server ${address} autokey${keys.ident} iburst minpoll 3 maxpoll 3`
      ])
      const ask = async (): Promise<string> => askClassic(client, "associations", "rv &1 flags")
      const answer = await until(
        ask,
        (text) => /sys\.peer/.test(text) && hasFlags(flagsIn(text), scheme.flags),
        SLOW_MS / 2
      )
      expect(answer).toMatch(/yes\s+ok\s+sys\.peer/)
    })()
  )
})

describe.runIf(available).concurrent("a node follows classic ntpd", { timeout: SLOW_MS }, () => {
  it.each(chosen(schemes, "trusted certificates"))("by $name", (scheme) =>
    onStage(async (stage) => {
      const keys = makeKeys(stage, scheme)
      const { server, client } = twoNetworks(stage)
      const digest = scheme.digest === undefined ? "" : ` digest ${scheme.digest}`
      const address = SERVER[scheme.family ?? "v4"]
      await startClassicIn(stage, server, alice(stage, keys.server, digest))
      const statistics = cryptostats(stage, "client")
      const node = await startNodeIn(stage, client, [
        `keysdir ${keys.client}`,
        `crypto host ${keys.host} pw ${keys.password}${digest}`,
        `server ${address} autokey${keys.ident} iburst minpoll 3 maxpoll 3`,
        ...statistics.lines
      ])
      const isDone = ([it]: Awaited<ReturnType<ReturnType<typeof sources>>>): boolean =>
        it?.verdict === "system-peer" &&
        it.authentication.kind === "autokey" &&
        hasFlags(it.authentication.flags, scheme.flags)
      const [source] = await until(sources(node), isDone, SLOW_MS / 2)
      expect(source).toMatchObject({ address, stratum: 6 })
      expect(Math.abs(source?.offset ?? 1)).toBeLessThan(1e-2)
      expect((await meridian(["sources", "--state", node.state])).stdout).toMatch(/ autokey 0x[0-9a-f]+,? /)
      const written = await until(
        async () => (existsSync(statistics.file) ? readFileSync(statistics.file, "utf8") : ""),
        (text) => / leap TAI offset 37 /.test(text)
      )
      expect(written).toMatch(/^\d{5} \d+\.\d{3} \S+ assoc \d+ \d+ host \S+ \w+WithRSAEncryption$/m)
      expect(written).toMatch(/^\d{5} \d+\.\d{3} 0\.0\.0\.0 ntpkey_RSAhost_\S+ mod 1024$/m)
      expect(written).toMatch(/^\d{5} \d+\.\d{3} 0\.0\.0\.0 ntpkey_\S+cert_\S+ 0x[018] len \d+$/m)
      expect(written).toMatch(/^\d{5} \d+\.\d{3} \S+ cook [0-9a-f]+ ts \d+ fs \d+$/m)
    })()
  )
})
