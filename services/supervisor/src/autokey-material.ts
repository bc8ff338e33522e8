/**
 * What the node serves and asks by Autokey: the key files of `keysdir`, and secrets drawn from the master keys. Files are read at
 * the start and at each reload; what is in them is compared, never their names.
 */
import { hostname } from "node:os"
import { CertificateCache, installLearned } from "@meridian/auth/autokey/certificate-cache"
import { BadCredentials, hostStatus, openHost } from "@meridian/auth/autokey/host"
import { serverSecrets } from "@meridian/auth/autokey/server-secret"
import type { ServingKeys } from "@meridian/auth/serving-keys"
import { nodeRsa } from "@meridian/ciphers/autokey-rsa"
import { nodeDigests } from "@meridian/ciphers/digests"
import { type Credentials, type KeysDirectory, readKeysDirectory } from "@meridian/ciphers/keys-directory"
import {
  type AutokeyServing,
  type BroadcastLists,
  hostMessage,
  type LearnedCertificates
} from "@meridian/ipc/autokey-plan"
import type { AutokeyHostReport } from "@meridian/ipc/node-snapshot"

/** What ntp.conf says. */
export interface AutokeyFiles extends Omit<KeysDirectory, "host" | "password"> {
  readonly host: string | undefined
  readonly password: string | undefined
  readonly leapFile: string | null
  readonly leapFileHashIgnored: boolean
}

export class AutokeyMaterial {
  private readonly files: AutokeyFiles
  private credentials: Credentials = { host: undefined, parameters: [], problems: [], notes: [] }

  /** Made when it is asked for; undefined: something changed since. */
  private shown: AutokeyHostReport | null | undefined
  private certificates: LearnedCertificates = []
  private lists: BroadcastLists = []

  constructor(files: AutokeyFiles) {
    this.files = files
  }

  /** Reads the files anew. Returns what is wrong with them, a line each; where the host's own are wrong, those before stay. */
  readFiles(): readonly string[] {
    const host = this.files.host ?? hostname()
    const read = readKeysDirectory({ ...this.files, host, password: this.files.password ?? host })
    const kept = read.host ?? this.credentials.host
    this.credentials = { ...read, host: kept }
    this.shown = undefined
    if (read.host !== undefined) return read.problems
    const state = kept === undefined ? "nobody is served or asked by Autokey" : "those read before stay in use"
    return [...read.problems, `Autokey has no credentials of ${host} that can be used; ${state}`]
  }

  /** Takes over what the clock's process knows besides this host's own certificate. */
  learn(certificates: LearnedCertificates): void {
    this.certificates = certificates
    this.shown = undefined
  }

  /** Takes over the key lists by which the clock's process tells the time to many. */
  useLists(lists: BroadcastLists): void {
    this.lists = lists
  }

  /** What ntpq shows of this host; null without credentials. */
  get report(): AutokeyHostReport | null {
    this.shown ??= this.makeReport()
    return this.shown
  }

  private makeReport(): AutokeyHostReport | null {
    const host = this.credentials.host && openHost(this.credentials.host, nodeRsa)
    if (host === undefined || host instanceof BadCredentials) return null
    const cache = new CertificateCache(host.certificate, host.certificateFilestamp)
    installLearned(cache, this.certificates)
    return {
      host: host.name,
      group: host.group ?? null,
      flags: hostStatus(host, this.files.leapFile !== null),
      digest: host.digest.toLowerCase(),
      signature: host.signer.scheme.longName,
      certificates: cache.all.map(({ certificate: { subject, issuer, notAfter }, flags }) => ({
        subject,
        issuer,
        flags,
        until: notAfter
      }))
    }
  }

  /** As it stands, with the secrets of these keys. */
  serving({ generations }: ServingKeys): AutokeyServing {
    const { host, parameters, notes } = this.credentials
    const { digest, leapFile, leapFileHashIgnored } = this.files
    return {
      host: host === undefined ? null : hostMessage(host),
      parameters,
      notes,
      certificates: this.certificates,
      lists: this.lists,
      secrets: serverSecrets(generations, digests),
      digest,
      leapFile,
      leapFileHashIgnored
    }
  }
}

const digests = nodeDigests()
