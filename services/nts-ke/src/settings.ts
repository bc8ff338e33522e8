/** What an NTS-KE process works by: its part of the serving plan, with the defaults of this service where the plan leaves the choice. */
import { hostname } from "node:os"
import { aeadParameters } from "@meridian/auth/aead"
import { hostName, type TimeServer } from "@meridian/auth/nts-ke-server"
import type { NtsKePlan, SocketPlace } from "@meridian/ipc/serving-plan"
import { type AdmissionLimits, defaultAdmissionLimits } from "./admission.ts"
import type { CertificateFiles } from "./certificates.ts"
import { developmentCertificate } from "./development-certificate.ts"
import type { Endpoint } from "./tls-port.ts"
import { defaultTlsSettings, type TlsSettings } from "./tls-settings.ts"

/** Something in the plan that cannot be meant. */
class SettingsError extends Error {
  readonly _tag = "SettingsError"
}

export interface Settings {
  readonly certificates: readonly CertificateFiles[]
  readonly tls: TlsSettings
  readonly exchangeSeconds: number
  readonly reportSeconds: number
  readonly aeads: ReadonlySet<number>
  readonly timeServer: TimeServer
  readonly admission: AdmissionLimits
}

const DEFAULT_EXCHANGE_SECONDS = 2

/** @throws SettingsError, or what making the development certificate throws */
export const settingsOf = (plan: NtsKePlan, now: number): Settings => {
  const { host, port } = plan.timeServer
  if (host !== null && hostName(Buffer.from(host)) === undefined)
    throw new SettingsError(`expected an NTP server with a host name in ASCII, found ${JSON.stringify(host)}`)
  const unknown = plan.aeads.find((id) => aeadParameters(id) === undefined)
  if (unknown !== undefined) throw new SettingsError(`expected AEADs of 15, 16, 17, 30, found ${unknown}`)
  const { admission, tls } = plan
  return {
    certificates:
      plan.certificates.length > 0
        ? plan.certificates
        : [developmentCertificate(plan.developmentDirectory, hostname(), now)],
    tls: {
      minimum: tls.minimum ?? defaultTlsSettings.minimum,
      maximum: tls.maximum ?? defaultTlsSettings.maximum,
      cipherSuites: tls.cipherSuites ?? defaultTlsSettings.cipherSuites,
      curves: tls.curves ?? defaultTlsSettings.curves,
      handshakeSeconds: plan.handshakeSeconds ?? defaultTlsSettings.handshakeSeconds
    },
    exchangeSeconds: plan.exchangeSeconds ?? DEFAULT_EXCHANGE_SECONDS,
    reportSeconds: plan.reportSeconds,
    aeads: new Set(plan.aeads),
    timeServer: { ...(host === null ? {} : { host }), ...(port === null ? {} : { port }) },
    admission: {
      connections: admission.connections ?? defaultAdmissionLimits.connections,
      connectionsPerAddress: admission.connectionsPerAddress ?? defaultAdmissionLimits.connectionsPerAddress,
      rate: admission.rate ?? defaultAdmissionLimits.rate,
      ratePerAddress: admission.ratePerAddress ?? defaultAdmissionLimits.ratePerAddress
    }
  }
}

/** Where it listens: on what it inherited, or else where the plan says. */
export const endpointsOf = (descriptors: readonly number[], places: readonly SocketPlace[]): readonly Endpoint[] =>
  descriptors.length > 0
    ? descriptors.map((descriptor) => ({ _tag: "descriptor", descriptor }))
    : places.map((place) => ({ _tag: "bind", ...place }))
