/**
 * What the worker needs beyond plain NTP. Loaded when the first keys arrive: a node without keys does not carry the
 * ciphers' memory.
 */
import { randomFillSync } from "node:crypto"
import { SecretRing } from "@meridian/auth/autokey/server-secret"
import { SessionServer } from "@meridian/auth/autokey/session-server"
import { MacServer } from "@meridian/auth/mac-server"
import { NtsServer } from "@meridian/auth/nts-server"
import type { ParsedKeys } from "@meridian/auth/serving-keys"
import { aeadProvider } from "@meridian/ciphers/aead"
import type { CookieCounters } from "@meridian/ipc/worker-report"
import { installedMacs } from "@meridian/ciphers/macs-native"
import { installedSessionMacs } from "@meridian/ciphers/session-macs-native"
import type { AutokeySecrets } from "@meridian/ipc/autokey-plan"
import { BATCH_CAPACITY } from "@meridian/udp/udp"
import { AutokeyAuthenticator } from "@meridian/protocol/autokey-authenticator"
import type { Authenticator } from "@meridian/protocol"
import { KeyedAuthenticator } from "@meridian/protocol/keyed-authenticator"
import { NtsAuthenticator } from "@meridian/protocol/nts-authenticator"

const provider = aeadProvider()
const macs = new MacServer(installedMacs(), BATCH_CAPACITY)
const nts = new NtsServer({
  batch: provider.batch,
  fillRandom: (bytes) => void randomFillSync(bytes),
  slots: BATCH_CAPACITY
})

const keyedAuthenticator = new KeyedAuthenticator(macs, false)
const ntsAuthenticator = new NtsAuthenticator(nts, false)
const authenticators = [ntsAuthenticator, keyedAuthenticator]

/** Of all cookies since this process started. */
export const cookieCounts: CookieCounters = nts.cookies

/** Takes these keys into use; what the server held before is gone. To be called between batches. */
export const authenticatorsWith = (
  keys: ParsedKeys | undefined,
  autokey: AutokeySecrets | null
): readonly Authenticator[] => [
  ...(autokey === null ? [] : [autokeyAuthenticator(autokey)]),
  ...(keys === undefined ? [] : keyed(keys))
]

const keyed = (keys: ParsedKeys): readonly Authenticator[] => {
  nts.useRing(keys.ring)
  ntsAuthenticator.hasKeys = keys.ring.generations.length > 0
  macs.useKeys(keys.table)
  keyedAuthenticator.sendCryptoNak = keys.sendCryptoNak
  return authenticators
}

const autokeyAuthenticator = ({ digest, secrets }: AutokeySecrets): Authenticator =>
  new AutokeyAuthenticator(new SessionServer(installedSessionMacs(digest), BATCH_CAPACITY), new SecretRing(secrets))
