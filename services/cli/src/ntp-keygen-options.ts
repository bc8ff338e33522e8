/** The command line of `ntp-keygen`, as the page of ntp 4.2.8 has it. */
import { hostname } from "node:os"
import { parseArgs } from "node:util"
import { keyCiphers } from "@meridian/auth/autokey/key-encryption"
import { schemeByName, type SignatureScheme, signatureSchemes } from "@meridian/auth/autokey/signature-schemes"

export const NTP_KEYGEN_USAGE = `Usage: ntp-keygen [options]

Makes the keys and certificates of Autokey (RFC 5906) in the working directory, in the files and
under the names that ntpd 4.2.8 reads as well. Without options: a host key if there is none, and a
certificate signed with it.

  -H, --host-key            Makes a new RSA host key.
  -T, --trusted-cert        The certificate is that of a trusted host, the root of a trail (TC).
  -P, --pvt-cert            The certificate is private (PC): copied to all hosts, never sent.
  -I, --iffkey              Makes a new IFF group key.
  -G, --gq-params           Makes a new GQ group key.
  -V, --mv-params N         Makes new MV keys for N clients, the last of them revoked.
  -e, --id-key              Writes what the group's clients need to standard output. Changes nothing.
  -q, --export-passwd PW    Writes the group key under another password. Changes nothing. Without -p:
                            PW is that of the files here, and only the certificate is renewed.
  -p, --password PW         The password of the files here, \`crypto pw\`. Default: the host's name.
  -i, --ident GROUP         The group's name.  -s, --subject-name HOST[@GROUP]
  -m, --modulus BITS        Host and sign keys: 256 … 4096, default 2048.
  -b, --imbits BITS         Identity keys: 256 … 2048, default 2048 (IFF), 1016 (GQ), 512 (MV).
  -S, --sign-key RSA        Makes a separate key to sign with.
  -c, --certificate SCHEME  ${signatureSchemes.map(({ name }) => name).join(", ")}.
                            Default: that of the certificate before, or RSA-MD5.
  -C, --cipher CIPHER       ${keyCiphers.map(({ name }) => name).join(", ")} (the first by default).
  -l, --lifetime DAYS       Of the certificate, default 365.
  -M, --md5key              Makes a file of symmetric keys and nothing else.
      --client N            With -e and MV: the parameters of client N, default 1.
  -h, --help, --version
`

/** A command line that cannot be followed; the message is one line. */
export class WrongCommandLine extends Error {
  readonly _tag = "WrongCommandLine"
}

export interface KeygenOptions {
  readonly host: string
  /** Undefined where none is given: identity files then bear the host's name. */
  readonly group: string | undefined
  readonly hostKey: boolean
  readonly signKey: boolean
  readonly iff: boolean
  readonly gq: boolean
  /** Clients of new MV keys. */
  readonly mvClients: number | undefined
  readonly exportParameters: boolean
  readonly exportPassword: string | undefined
  readonly password: string | undefined
  readonly kind: "trusted" | "private" | undefined
  readonly scheme: SignatureScheme | undefined
  readonly cipher: (typeof keyCiphers)[number]
  readonly modulusBits: number
  readonly identityBits: number | undefined
  readonly lifetimeDays: number
  readonly symmetric: boolean
  /** MV's client whose parameters are exported, from 1. */
  readonly client: number
}

const OPTIONS = {
  help: { type: "boolean", short: "h" },
  version: { type: "boolean" },
  "host-key": { type: "boolean", short: "H" },
  "trusted-cert": { type: "boolean", short: "T" },
  "pvt-cert": { type: "boolean", short: "P" },
  iffkey: { type: "boolean", short: "I" },
  "gq-params": { type: "boolean", short: "G" },
  "mv-params": { type: "string", short: "V" },
  "id-key": { type: "boolean", short: "e" },
  "export-passwd": { type: "string", short: "q" },
  "get-pvt-passwd": { type: "string" },
  password: { type: "string", short: "p" },
  ident: { type: "string", short: "i" },
  "subject-name": { type: "string", short: "s" },
  modulus: { type: "string", short: "m" },
  imbits: { type: "string", short: "b" },
  "sign-key": { type: "string", short: "S" },
  certificate: { type: "string", short: "c" },
  cipher: { type: "string", short: "C" },
  lifetime: { type: "string", short: "l" },
  md5key: { type: "boolean", short: "M" },
  client: { type: "string" },
  "debug-level": { type: "boolean", short: "d", multiple: true },
  "set-debug-level": { type: "string", short: "D" }
} as const

const number = (text: string | undefined, name: string, low: number, high: number): number | undefined => {
  if (text === undefined) return undefined
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
  if (value >= low && value <= high) return value
  throw new WrongCommandLine(`expected ${name} from ${low} to ${high}, found ${JSON.stringify(text)}`)
}

/** Names go into paths and into certificates. */
const name = (text: string, what: string): string => {
  if (/^[A-Za-z0-9._-]{1,200}$/.test(text) && !/^\.*$/.test(text)) return text
  throw new WrongCommandLine(`expected ${what} of letters, digits, '.', '-', '_', found ${JSON.stringify(text)}`)
}

/** What is asked for; `help` and `version` come before everything else. Throws {@link WrongCommandLine}. */
export const readKeygenOptions = (args: readonly string[]): KeygenOptions | "help" | "version" => {
  const values = parse(args)
  if (values.help) return "help"
  if (values.version) return "version"
  const [host = "", ofSubject] = (values["subject-name"] ?? "").split("@", 2)
  const group = ofSubject ?? values.ident
  const scheme = values.certificate === undefined ? undefined : schemeByName(values.certificate)
  if (values.certificate !== undefined && scheme === undefined)
    throw new WrongCommandLine(
      `expected a scheme of ${signatureSchemes.map((known) => known.name).join(", ")}, found ${JSON.stringify(values.certificate)}`
    )
  if (values["sign-key"] !== undefined && values["sign-key"].toUpperCase() !== "RSA")
    throw new WrongCommandLine("expected RSA after -S: ntpd 4.2.8 crashes at its first signature with a DSA key")
  const cipher = keyCiphers.find((known) => known.name === (values.cipher ?? keyCiphers[0]?.name)?.toLowerCase())
  if (cipher === undefined)
    throw new WrongCommandLine(
      `expected a cipher of ${keyCiphers.map((known) => known.name).join(", ")}, found ${JSON.stringify(values.cipher)}`
    )
  if (values["trusted-cert"] && values["pvt-cert"])
    throw new WrongCommandLine("a certificate is trusted (-T) or private (-P), not both")
  return {
    host: name(host === "" ? hostname() : host, "a host's name"),
    group: group === undefined ? undefined : name(group, "a group's name"),
    hostKey: values["host-key"] ?? false,
    signKey: values["sign-key"] !== undefined,
    iff: values.iffkey ?? false,
    gq: values["gq-params"] ?? false,
    mvClients: number(values["mv-params"], "a number of clients after -V", 2, 30),
    exportParameters: values["id-key"] ?? false,
    exportPassword: values["export-passwd"] ?? values["get-pvt-passwd"],
    password: values.password,
    kind: values["trusted-cert"] ? "trusted" : values["pvt-cert"] ? "private" : undefined,
    scheme,
    cipher,
    modulusBits: number(values.modulus, "a number of bits after -m", 256, 4_096) ?? 2_048,
    identityBits: number(values.imbits, "a number of bits after -b", 256, 2_048),
    lifetimeDays: number(values.lifetime, "a number of days after -l", 1, 36_500) ?? 365,
    symmetric: values.md5key ?? false,
    client: number(values.client, "a client's number after --client", 1, 30) ?? 1
  }
}

const parse = (args: readonly string[]) => {
  try {
    return parseArgs({ args: [...args], options: OPTIONS }).values
  } catch (error) {
    throw new WrongCommandLine((error as Error).message.split("\n", 1)[0] ?? "")
  }
}
