/**
 * `ntp-keygen`, as the page of ntp 4.2.8 has it: the keys and certificates of Autokey, in the files that ntpd reads too. Exit
 * codes: 0 done, 1 not done or a wrong flag.
 *
 * Where the reference's files do not work with the reference, the form is written that both take; links it forgets are made;
 * a new secret has a new filestamp, and never the name of an older file; `-e` and `-q` change nothing.
 */
import { generateKeyPairSync, randomFillSync } from "node:crypto"
import { hostname } from "node:os"
import { type AutokeyCertificate, readCertificate } from "@meridian/auth/autokey/certificate"
import { issueHostCertificate } from "@meridian/auth/autokey/certificate-issue"
import { type KeyFault, openKey, pkcs8Block } from "@meridian/auth/autokey/key-encryption"
import { type AutokeyFile, formatAutokeyFile, type PemBlock } from "@meridian/auth/autokey/key-file"
import { type PrivateNumbers, readPkcs8, type RsaNumbers, writePkcs8 } from "@meridian/auth/autokey/private-keys"
import type { RsaPrivateKey } from "@meridian/auth/autokey/rsa-port"
import { schemeByName } from "@meridian/auth/autokey/signature-schemes"
import { nodeRsa } from "@meridian/ciphers/autokey-rsa"
import { nodePasswordCiphers } from "@meridian/ciphers/password-ciphers"
import { NTP_UNIX_OFFSET_SECONDS } from "@meridian/time/timestamp"
import manifest from "../package.json" with { type: "json" }
import { asctime } from "./asctime.ts"
import { type IdentityKind, identityKinds } from "./identity-kinds.ts"
import { KeyDirectory, KeyFileTrouble } from "./key-directory.ts"
import { type KeygenOptions, NTP_KEYGEN_USAGE, readKeygenOptions, WrongCommandLine } from "./ntp-keygen-options.ts"
import { classicSymmetricKeys } from "./symmetric-key-file.ts"

const DAY_SECONDS = 86_400
/** Owner and group, as the reference has it: ntpd runs as somebody else. */
const KEY_FILE_MODE = 0o640

/** Where a run reads and writes; the command's own by default. */
interface KeygenPlace {
  readonly directory: string
  readonly out: (text: string) => void
  readonly say: (line: string) => void
}

const ownPlace: KeygenPlace = {
  directory: ".",
  out: (text) => void process.stdout.write(text),
  say: (line) => void process.stderr.write(`${line}\n`)
}

/** Runs the command: exported keys on standard output, everything else on standard error. */
export const ntpKeygen = (args: readonly string[], place: KeygenPlace = ownPlace): 0 | 1 => {
  try {
    const options = readKeygenOptions(args)
    if (options === "help") place.out(NTP_KEYGEN_USAGE)
    else if (options === "version") place.out(`ntp-keygen ${manifest.version}\n`)
    else new Keygen(options, place).run()
    return 0
  } catch (error) {
    if (!(error instanceof KeyFileTrouble || error instanceof WrongCommandLine)) throw error
    place.say(`ntp-keygen: ${error.message}`)
    return 1
  }
}

/** A key at hand, and where it came from. */
interface KeyAtHand {
  readonly numbers: readonly PrivateNumbers[]
  readonly filestamp: number
}

class Keygen {
  private readonly options: KeygenOptions
  private readonly place: KeygenPlace
  private readonly directory: KeyDirectory
  private readonly before: AutokeyCertificate | undefined
  /** `host` or `host@group`, the name in the certificate. */
  private readonly certificateName: string
  /** Whose identity keys these are. */
  private readonly owner: string
  private readonly password: string
  private readonly exportPassword: string | undefined
  private readonly at: Date
  private readonly filestamp: number

  constructor(options: KeygenOptions, place: KeygenPlace) {
    this.options = options
    this.place = place
    this.directory = new KeyDirectory(place.directory, KEY_FILE_MODE)
    this.before = this.certificateBefore()
    const named = options.group === undefined ? this.before?.subject : undefined
    this.certificateName = named ?? (options.group === undefined ? options.host : `${options.host}@${options.group}`)
    this.owner = this.certificateName.split("@")[1] ?? options.host
    ;[this.password, this.exportPassword] = this.passwords()
    this.at = this.freshMoment()
    this.filestamp = ntpSecondsOf(this.at)
  }

  run(): void {
    const { options } = this
    if (options.symmetric) return this.makeSymmetricKeys()
    this.place.say(`Using host ${options.host} group ${this.owner}`)
    const isExportOnly = this.isExport() && !this.makesAnything()
    const hostKey = isExportOnly ? undefined : this.hostKey()
    const signKey = isExportOnly ? undefined : (this.signKey() ?? hostKey)
    let gqPublic: bigint | undefined
    for (const kind of identityKinds) {
      const key = this.identityKey(kind)
      if (key === undefined) continue
      gqPublic ??= kind.certificateValue(key.numbers)
      this.exportKey(kind, key)
    }
    if (signKey !== undefined) this.makeCertificate(signKey, gqPublic)
    else if (!this.exported)
      throw new KeyFileTrouble(
        `no group key of ${this.owner} to export: expected ntpkey_iffkey_${this.owner} or another; make one with -I, -G or -V`
      )
  }

  private exported = false

  private isExport(): boolean {
    return this.options.exportParameters || this.exportPassword !== undefined
  }

  private makesAnything(): boolean {
    const { hostKey, signKey, iff, gq, mvClients, kind, scheme } = this.options
    return hostKey || signKey || iff || gq || mvClients !== undefined || kind !== undefined || scheme !== undefined
  }

  /** What the certificate before says is kept where no option says otherwise. */
  private certificateBefore(): AutokeyCertificate | undefined {
    const link = `ntpkey_cert_${this.options.host}`
    const block = this.directory.read(link)?.blocks[0]
    if (block?.label !== "CERTIFICATE") return undefined
    const certificate = readCertificate(block.der)
    if (typeof certificate !== "string") return certificate
    this.place.say(`${link} holds no certificate that Autokey can use (${certificate}); it is not looked at`)
    return undefined
  }

  /**
   * The password of the files here, and that of an export. An older ntp-keygen read the local files with -q, and its guides
   * still say so: where there is no -p and only -q opens the host key, that is what was meant.
   */
  private passwords(): readonly [string, string | undefined] {
    const { password, exportPassword } = this.options
    const local = password ?? hostname()
    if (password !== undefined || exportPassword === undefined) return [local, exportPassword]
    const file = this.directory.read(`ntpkey_host_${this.options.host}`)
    if (file === undefined || typeof openFirst(file, local) === "object") return [local, exportPassword]
    return [exportPassword, undefined]
  }

  /** Now, or the next second when a file of this one is there already: names are never used twice. */
  private freshMoment(): Date {
    for (;;) {
      const now = new Date(Math.floor(Date.now() / 1_000) * 1_000)
      const taken = this.fileNames(ntpSecondsOf(now)).some((name) => this.directory.has(name))
      if (!taken) return now
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000 - (Date.now() % 1_000) + 1)
    }
  }

  private fileNames(filestamp: number): readonly string[] {
    const { host } = this.options
    const certificate = `ntpkey_${this.scheme().name}cert_${host}.${filestamp}`
    const own = ["RSAhost", "RSAsign", "MD5key"].map((type) => `ntpkey_${type}_${host}.${filestamp}`)
    return [
      certificate,
      ...own,
      ...identityKinds.flatMap((kind) => kind.fileTypes.map((type) => `ntpkey_${type}_${this.owner}.${filestamp}`))
    ]
  }

  private scheme() {
    return this.options.scheme ?? this.before?.scheme ?? schemeByName("RSA-MD5")!
  }

  private hostKey(): RsaPrivateKey {
    const link = `ntpkey_host_${this.options.host}`
    const file = this.options.hostKey ? undefined : this.directory.read(link)
    if (file === undefined) return this.newRsaKey("host")
    this.place.say(`Using host key ${file.target}`)
    return this.rsaKey(link, file)
  }

  private signKey(): RsaPrivateKey | undefined {
    if (this.options.signKey) return this.newRsaKey("sign")
    const link = `ntpkey_sign_${this.options.host}`
    const file = this.directory.read(link)
    if (file === undefined) {
      this.place.say("Using host key as sign key")
      return undefined
    }
    this.place.say(`Using sign key ${file.target}`)
    return this.rsaKey(link, file)
  }

  private rsaKey(link: string, file: AutokeyFile): RsaPrivateKey {
    const numbers = this.open(link, file)[0]
    const key = numbers?.kind === "rsa" ? nodeRsa.openPrivateKey(writePkcs8(numbers)) : undefined
    if (key === undefined) throw new KeyFileTrouble(`${link}: expected an RSA key, found another; make one with -H`)
    return key
  }

  private newRsaKey(role: "host" | "sign"): RsaPrivateKey {
    const { modulusBits, host } = this.options
    this.place.say(`Generating RSA keys (${modulusBits} bits)...`)
    const pkcs8 = generateKeyPairSync("rsa", { modulusLength: modulusBits, publicExponent: 65_537 }).privateKey.export({
      type: "pkcs8",
      format: "der"
    })
    const numbers = readPkcs8(pkcs8) as RsaNumbers
    this.write(role, `RSA${role}`, host, [this.encrypted(numbers)], [`ntpkey_${role}_${host}`])
    return nodeRsa.openPrivateKey(pkcs8)!
  }

  private encrypted(numbers: PrivateNumbers): PemBlock {
    return pkcs8Block(numbers, this.options.cipher, this.password, nodePasswordCiphers)
  }

  private open(link: string, file: AutokeyFile): readonly PrivateNumbers[] {
    return file.blocks.map((block) => {
      const key = openKey(block, this.password, nodePasswordCiphers)
      if (typeof key === "object") return key
      throw new KeyFileTrouble(`${link}: ${KEY_FAULTS[key]}`)
    })
  }

  /** A scheme's group key: made anew where asked, else the one there is. */
  private identityKey(kind: IdentityKind): KeyAtHand | undefined {
    const made = kind.make(this.options)
    if (made !== undefined) {
      this.place.say(`Generating ${kind.name} keys (${made.bits} bits)...`)
      for (const file of made.files) {
        const links = [...new Set([this.options.host, this.owner])].map((owner) => `ntpkey_${file.link}_${owner}`)
        const blocks = file.numbers.map((numbers) => kind.block(numbers, this.options.cipher, this.password))
        this.write(file.link, file.type, this.owner, blocks, links)
      }
      return { numbers: made.files[0]!.numbers, filestamp: this.filestamp }
    }
    const link = `ntpkey_${kind.link}_${this.owner}`
    const own = `ntpkey_${kind.link}_${this.options.host}`
    // The reference links an identity file after the host alone, and looks for it under the group's name.
    const name = this.directory.has(link) ? link : own
    const file = this.directory.read(name)
    if (file === undefined) return undefined
    this.place.say(`Using ${kind.name} keys ${file.target}`)
    return { numbers: this.open(name, file), filestamp: file.filestamp }
  }

  /** Writes to standard output what clients, or other servers of the group, are given. */
  private exportKey(kind: IdentityKind, { numbers, filestamp }: KeyAtHand): void {
    const { exportParameters, client, cipher } = this.options
    if (exportParameters) {
      const parameters = kind.parameters(numbers, client)
      if (typeof parameters === "string") throw new KeyFileTrouble(parameters)
      this.print(`ntpkey_${kind.parametersLink}_${this.owner}.${filestamp}`, kind.block(parameters, cipher, undefined))
    }
    if (this.exportPassword !== undefined) {
      const key = kind.serverKey(numbers)
      if (typeof key === "string") throw new KeyFileTrouble(key)
      this.print(`ntpkey_${kind.serverLink}_${this.owner}.${filestamp}`, kind.block(key, cipher, this.exportPassword))
    }
  }

  private print(name: string, block: PemBlock): void {
    this.exported = true
    this.place.say(`Writing ${name} to stdout`)
    this.place.out(formatAutokeyFile(name, asctime(new Date()), [block]))
  }

  private makeCertificate(key: RsaPrivateKey, gqPublic: bigint | undefined): void {
    const { host, lifetimeDays } = this.options
    const scheme = this.scheme()
    const before = this.before?.isPrivate ? "private" : this.before?.claimsTrust ? "trusted" : "plain"
    const kind = this.options.kind ?? before
    this.place.say(`Generating new certificate ${this.certificateName} ${scheme.name}`)
    const der = issueHostCertificate(
      {
        name: this.certificateName,
        serial: this.filestamp,
        from: this.at.getTime() / 1_000,
        lifetimeSeconds: lifetimeDays * DAY_SECONDS,
        kind,
        gqPublic
      },
      key,
      scheme
    )
    this.write(
      "cert",
      `${scheme.name}cert`,
      host,
      [{ label: "CERTIFICATE", headers: {}, der }],
      [`ntpkey_cert_${host}`]
    )
  }

  private makeSymmetricKeys(): void {
    const { host } = this.options
    const name = `ntpkey_MD5key_${host}.${this.filestamp}`
    this.place.say("Generating new md5 file and link")
    this.directory.write(
      name,
      classicSymmetricKeys(name, asctime(this.at), (bytes) => void randomFillSync(bytes)),
      [`ntpkey_md5_${host}`]
    )
    this.place.say(`ntpkey_md5_${host}->${name}`)
  }

  private write(
    what: string,
    type: string,
    owner: string,
    blocks: readonly PemBlock[],
    links: readonly string[]
  ): void {
    const name = `ntpkey_${type}_${owner}.${this.filestamp}`
    this.place.say(`Generating new ${what} file and link`)
    this.directory.write(name, formatAutokeyFile(name, asctime(this.at), blocks), links)
    for (const link of links) this.place.say(`${link}->${name}`)
  }
}

const KEY_FAULTS: Readonly<Record<KeyFault, string>> = {
  kind: "expected a private key in PEM, found something else",
  encryption: "it is encrypted in a way that is not known here; write it anew with `openssl pkcs8 -topk8 -v2 aes256`",
  password: "the password does not open it; give the one it was made with (-p), which `crypto pw` of ntp.conf names"
}

const openFirst = (file: AutokeyFile, password: string): PrivateNumbers | KeyFault =>
  openKey(file.blocks[0]!, password, nodePasswordCiphers)

const ntpSecondsOf = (at: Date): number => Math.floor(at.getTime() / 1_000) + NTP_UNIX_OFFSET_SECONDS
