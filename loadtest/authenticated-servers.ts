/** Servers with symmetric keys and NTS, started on loopback; NTS-KE has the TCP port of NTP's number. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { developmentCertificate } from "../services/nts-ke/src/development-certificate.ts"
import type { BenchKeys } from "./keyed-requests.ts"
import { type KeyServer, trustIn } from "./nts-session.ts"
import {
  checkout,
  type ChronydName,
  chronydCommand,
  chronydLabel,
  configuredMeridian,
  nameOf,
  type RunningServer,
  startCommands,
  type StartOptions
} from "./servers.ts"

/** ECDSA P-256, as the certificates that people get today. */
export interface BenchCertificate {
  readonly certificate: string
  readonly key: string
  readonly authority: string
}

export const SERVER_NAME = "localhost"

export const makeCertificate = (folder: string): BenchCertificate => {
  const files = developmentCertificate(folder, SERVER_NAME, Date.now() / 1000)
  return { ...files, authority: readFileSync(files.certificate, "utf8") }
}

interface Credentials {
  readonly keys?: BenchKeys
  readonly certificate?: BenchCertificate
}

/** Where a client of that server establishes its keys. */
export const keyServer = ({ address, port }: RunningServer, { authority }: BenchCertificate): KeyServer => ({
  address,
  port,
  trust: trustIn(authority),
  serverName: SERVER_NAME
})

/** A node with the keys and the certificate in its configuration. */
export const startMeridian = (options: StartOptions, { keys, certificate }: Credentials): Promise<RunningServer> =>
  startCommands(nameOf("meridian", options), options.build?.label ?? "Meridian", options, (port, folder) => {
    const lines = [
      ...(keys === undefined
        ? []
        : [`keys ${keys.file}`, `trustedkey ${keys.table.keys.map(({ id }) => id).join(" ")}`]),
      ...(certificate === undefined
        ? []
        : [`nts cert ${certificate.certificate}`, `nts key ${certificate.key}`, `nts port ${port}`])
    ]
    return [configuredMeridian(options, port, folder, lines)]
  })

/**
 * Meridian's NTS-KE process alone, with a master key made for the run (key-exchange-process.ts): a node's own lets one
 * address establish keys a few times a second, and the bench comes more often.
 */
export const startKeyExchange = (
  options: StartOptions,
  { certificate, key }: BenchCertificate
): Promise<RunningServer> =>
  startCommands(
    "meridian",
    "Meridian",
    options,
    (port) => [
      {
        command: process.execPath,
        args: [join(checkout, "loadtest/key-exchange-process.ts"), options.address, String(port), certificate, key]
      }
    ],
    () => Promise.resolve(true)
  )

export const startChronyd = (
  name: ChronydName,
  options: StartOptions,
  { keys, certificate }: Credentials
): Promise<RunningServer> =>
  startCommands(name, chronydLabel(name), options, (port, folder) => [
    chronydCommand(name, options.address, port, folder, [
      ...(keys === undefined ? [] : [`keyfile ${keys.chronyFile}`]),
      ...(certificate === undefined
        ? []
        : [
            `ntsport ${port}`,
            `ntsservercert ${certificate.certificate}`,
            `ntsserverkey ${certificate.key}`,
            `ntsdumpdir ${folder}`,
            "ntsprocesses 1"
          ])
    ])
  ])
