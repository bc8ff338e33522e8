/**
 * A directory of ntp-keygen's files (`keysdir`): the links that ntpd opens, read into the credentials that processes work with.
 * What cannot be read is one line with what to do; it never holds key material.
 */
import { flagsOf } from "@meridian/auth/autokey/certificate-cache"
import { join } from "node:path"
import { openParameters, type StampedParameters } from "@meridian/auth/autokey/group-parameters"
import { type HostCredentials, identitySchemes, type StampedKey } from "@meridian/auth/autokey/credentials"
import { BadCredentials, openHost } from "@meridian/auth/autokey/host"
import { type KeyFault, openKey } from "@meridian/auth/autokey/key-encryption"
import { type AutokeyFile, LONGEST_KEY_FILE_BYTES, readAutokeyFile } from "@meridian/auth/autokey/key-file"
import { type PrivateNumbers, writeDsa, writePkcs8, writeRsa } from "@meridian/auth/autokey/private-keys"
import type { MacAlgorithmName } from "@meridian/auth/mac-algorithms"
import { FileNotRead, readRegularFile } from "@meridian/system/regular-file"
import { nodeRsa } from "./autokey-rsa.ts"
import { nodePasswordCiphers } from "./password-ciphers.ts"

/** What ntp.conf says about it. */
export interface KeysDirectory {
  readonly directory: string
  /** `crypto host`, or this machine's name. */
  readonly host: string
  /** `crypto ident`: whose group keys this host proves; undefined: those under the host's name. */
  readonly ident: string | undefined
  /** `crypto pw`, or the host's name. */
  readonly password: string
  readonly digest: MacAlgorithmName
  /** Groups that servers must prove to belong to (`server H autokey ident GROUP`). */
  readonly groups: readonly string[]
}

export interface Credentials {
  /** Undefined where a file that everything else needs is missing or wrong. */
  readonly host: HostCredentials | undefined
  readonly parameters: readonly StampedParameters[]
  /** A line each. */
  readonly problems: readonly string[]
  /** What cryptostats says at a start: the host's files and their sizes, in the reference's words. */
  readonly notes: readonly string[]
}

const FAULTS: Readonly<Record<KeyFault, string>> = {
  kind: "it holds no private key in PEM",
  encryption: "it is encrypted in a way that is not known here; write it anew with ntp-keygen",
  password: "the password does not open it: `crypto pw` must name the one that ntp-keygen -p was given"
}

/** Group and others may not write it; who else may read it is said, because whoever reads a group key can pass for a server. */
const exposed = ({ mode }: { readonly mode: number }): string | undefined =>
  (mode & 0o004) === 0 ? undefined : `others may read it (mode ${(mode & 0o777).toString(8)}); chmod 640`

class Reader {
  readonly problems: string[] = []
  readonly notes: string[] = []
  private readonly directory: string

  constructor(directory: string) {
    this.directory = directory
  }

  /** The file behind a link; undefined where it is missing, which is a problem only where it is needed. */
  file(name: string, needed: boolean, isSecret: boolean): AutokeyFile | undefined {
    const path = join(this.directory, name)
    try {
      const refuse = isSecret ? exposed : undefined
      const text = readRegularFile(path, LONGEST_KEY_FILE_BYTES, refuse).toString("utf8")
      const file = readAutokeyFile(text)
      if (typeof file !== "string") return file
      this.problems.push(`${path}: expected ${file}, as ntp-keygen writes it`)
    } catch (error) {
      if (!(error instanceof FileNotRead)) throw error
      if (error.reason !== "ENOENT") this.problems.push(`cannot use ${path}: ${error.why}`)
      else if (needed) this.problems.push(`${path} is missing: make it with ntp-keygen in that directory`)
    }
    return undefined
  }

  key(name: string, file: AutokeyFile, password: string | undefined): PrivateNumbers | undefined {
    const key = openKey(file.blocks[0]!, password, nodePasswordCiphers)
    if (typeof key === "string") {
      this.problems.push(`${join(this.directory, name)}: ${FAULTS[key]}`)
      return undefined
    }
    this.notes.push(`${file.name} mod ${key.kind === "rsa" ? key.n.toString(2).length : 8 * signatureBytes(key.q)}`)
    return key
  }
}

/** Of a DSA signature in DER, two numbers below q: what the reference calls the size of such a key. */
const signatureBytes = (q: bigint): number => {
  const both = 2 * (2 + Math.floor(q.toString(2).length / 8) + 1)
  return both + (both < 128 ? 2 : 3)
}

const derOf = (key: PrivateNumbers): Uint8Array => (key.kind === "rsa" ? writeRsa(key) : writeDsa(key))

/** Reads everything anew. */
export const readKeysDirectory = (plan: KeysDirectory): Credentials => {
  const reader = new Reader(plan.directory)
  const host = readHost(reader, plan)
  const notes = [...reader.notes]
  const parameters = plan.groups.flatMap((group) => readParameters(reader, group))
  return { host, parameters, problems: reader.problems, notes }
}

const readHost = (reader: Reader, plan: KeysDirectory): HostCredentials | undefined => {
  const { host, password } = plan
  const rsa = (name: string, needed: boolean): { pkcs8: Uint8Array; filestamp: number } | undefined => {
    const file = reader.file(name, needed, true)
    const key = file && reader.key(name, file, password)
    if (file === undefined || key === undefined) return undefined
    return { pkcs8: writePkcs8(key), filestamp: file.filestamp }
  }
  const hostKey = rsa(`ntpkey_host_${host}`, true)
  const signKey = rsa(`ntpkey_sign_${host}`, false)
  const certificate = reader.file(`ntpkey_cert_${host}`, true, false)
  if (hostKey === undefined || certificate === undefined) return undefined
  const [block] = certificate.blocks
  if (block?.label !== "CERTIFICATE") {
    reader.problems.push(`ntpkey_cert_${host} holds no certificate: make it anew with ntp-keygen`)
    return undefined
  }
  const credentials: HostCredentials = {
    hostKey: hostKey.pkcs8,
    hostFilestamp: hostKey.filestamp,
    signKey: signKey?.pkcs8,
    certificate: block.der,
    certificateFilestamp: certificate.filestamp,
    identity: [],
    digest: plan.digest
  }
  const own = openHost(credentials, nodeRsa)
  if (!(own instanceof BadCredentials)) {
    reader.notes.push(`${certificate.name} 0x${flagsOf(own.certificate).toString(16)} len ${block.der.length}`)
  }
  const complete = { ...credentials, identity: readIdentity(reader, plan) }
  // Opened once here, so that what does not fit together is said where it can be put right.
  const opened = openHost(complete, nodeRsa)
  if (!(opened instanceof BadCredentials)) return complete
  reader.problems.push(`Autokey: ${opened.message}`)
  return undefined
}

const readIdentity = (reader: Reader, { host, ident, password }: KeysDirectory): readonly StampedKey[] =>
  identitySchemes.flatMap((scheme) => {
    const name = `ntpkey_${scheme}key_${ident ?? host}`
    const file = reader.file(name, false, true)
    const key = file && reader.key(name, file, password)
    return file === undefined || key === undefined ? [] : [{ scheme, key: derOf(key), filestamp: file.filestamp }]
  })

const readParameters = (reader: Reader, group: string): readonly StampedParameters[] => {
  const found = identitySchemes.flatMap((scheme) => {
    const name = `ntpkey_${scheme}par_${group}`
    const file = reader.file(name, false, false)
    const key = file && reader.key(name, file, undefined)
    if (file === undefined || key === undefined) return []
    const parameters = { scheme, group, key: derOf(key), filestamp: file.filestamp }
    const opened = openParameters([parameters], group)
    if (!(opened instanceof BadCredentials)) return [parameters]
    reader.problems.push(`${name}: ${opened.message}`)
    return []
  })
  if (found.length === 0)
    reader.problems.push(
      `no usable ntpkey_iffpar_${group}, gqpar or mvpar: its trusted host exports one (ntp-keygen -e); servers of the group are not believed`
    )
  return found
}
