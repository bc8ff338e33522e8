/** Hosts of Autokey that are made for a test, with what they answer by. */
import { generateKeyPairSync, randomFillSync, randomInt } from "node:crypto"
import { nodeRsa } from "@meridian/ciphers/autokey-rsa"
import { issueHostCertificate } from "../../src/autokey/certificate-issue.ts"
import type { HostCredentials } from "../../src/autokey/credentials.ts"
import { type AutokeyHost, openHost } from "../../src/autokey/host.ts"
import { randomBelowFrom } from "../../src/autokey/identity.ts"
import { type AutokeyParty, partyOf as partyWith } from "../../src/autokey/party.ts"
import { schemeByName } from "../../src/autokey/signature-schemes.ts"
import type { MacAlgorithmName } from "../../src/symmetric/mac-algorithms.ts"
import { digests } from "./recordings.ts"

export const NOW = 1_795_180_974
export const NTP = (unix: number): number => unix + 2_208_988_800
export const randomBelow = randomBelowFrom((bytes) => void randomFillSync(bytes))
export const randomWord = (): number => randomInt(2 ** 32)
export const client = Uint8Array.of(10, 77, 0, 2)
export const server = Uint8Array.of(10, 77, 0, 1)
export const client6 = Uint8Array.from({ length: 16 }, (_, index) => (index === 15 ? 2 : 0xfd))
export const server6 = Uint8Array.from({ length: 16 }, (_, index) => (index === 15 ? 1 : 0xfd))

const keys = Array.from({ length: 3 }, () =>
  generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey.export({ type: "pkcs8", format: "der" })
)
interface About {
  readonly key?: number
  readonly kind?: "trusted" | "private" | "plain"
  readonly scheme?: string
  readonly identity?: HostCredentials["identity"]
  readonly gqPublic?: bigint
  readonly digest?: MacAlgorithmName
  readonly from?: number
}
export const hostOf = (name: string, about: About = {}): AutokeyHost => {
  const hostKey = keys[about.key ?? 0]!
  const from = about.from ?? NOW - 1_000
  const certificate = issueHostCertificate(
    {
      name,
      serial: NTP(from),
      from,
      lifetimeSeconds: 365 * 86_400,
      kind: about.kind ?? "plain",
      gqPublic: about.gqPublic
    },
    nodeRsa.openPrivateKey(hostKey)!,
    schemeByName(about.scheme ?? "RSA-MD5")!
  )
  const host = openHost(
    {
      hostKey,
      hostFilestamp: NTP(from),
      signKey: undefined,
      certificate,
      certificateFilestamp: NTP(from),
      identity: about.identity ?? [],
      digest: about.digest ?? "MD5"
    },
    nodeRsa
  )
  if ("_tag" in host) throw new Error(host.message)
  return host
}

export const LEAP = { taiOffset: 37, lastLeap: 3_692_217_600, expiry: 3_694_377_600 }

/** What a party of a test computes by, beside what it is asked to tell of leap seconds and broadcasts. */
export const computing = { rsa: nodeRsa, digests, randomBelow }

/** A host that answers and asks. */
export const partyOf = (host: AutokeyHost, hasLeap = true): AutokeyParty =>
  partyWith(host, { ...computing, leapSeconds: hasLeap ? LEAP : undefined, autokeyValues: () => undefined })
