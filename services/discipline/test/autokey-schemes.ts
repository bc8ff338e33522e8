/** Autokey's schemes as two hosts have them, by files that `ntp-keygen` makes: all of them with MERIDIAN_LONG=1, otherwise one. */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { canMakeNamespaces } from "@meridian/testkit/network-namespace"
import { peersAvailable } from "@meridian/testkit/real-peers"
import { COMPLETE, keygen, ownClock } from "./autokey-hosts.ts"
import type { Stage } from "./stage.ts"

/** Whether a suite can run here. */
export const isAvailable = (suite: string): boolean =>
  peersAvailable(suite, ["classic-ntpd", "classic-ntpq"]) && canMakeNamespaces(suite)

const isLong = process.env["MERIDIAN_LONG"] === "1"
export const SLOW_MS = 400_000

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
export const makeKeys = (stage: Stage, { trusted = [], client = [], parameters, isPrivate }: Scheme) => {
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

/** The lines of the trusted host. */
export const alice = (stage: Stage, keys: string, digest: string): readonly string[] => [
  `keysdir ${keys}`,
  `crypto host alice pw srvpw${digest}`,
  ...ownClock(stage)
]

/** All schemes, or the one of this name. */
export const chosen = (brief: string): readonly Scheme[] =>
  isLong ? schemes : schemes.filter(({ name }) => name === brief)
