/** The identity schemes as ntp-keygen knows them: what each makes, keeps and exports, under which names and in which form. */
import {
  gqGroupKeyFrom,
  gqGroupKeyNumbers,
  gqParametersNumbers,
  iffGroupKeyFrom,
  iffGroupKeyNumbers,
  iffParametersNumbers,
  type IdentityFileFault,
  mvAuthorityNumbers,
  mvParametersFrom,
  mvParametersNumbers,
  mvServerKeyFrom,
  mvServerKeyNumbers
} from "@meridian/auth/autokey/identity-files"
import { iffParametersOf } from "@meridian/auth/autokey/iff"
import { keyCiphers, pkcs8Block, traditionalDsaBlock } from "@meridian/auth/autokey/key-encryption"
import type { PemBlock } from "@meridian/auth/autokey/key-file"
import type { PrivateNumbers } from "@meridian/auth/autokey/private-keys"
import { nodePasswordCiphers } from "@meridian/ciphers/password-ciphers"
import { newGqGroup, newIffGroup, newMvAuthority } from "./identity-making.ts"
import { type KeygenOptions, WrongCommandLine } from "./ntp-keygen-options.ts"

type Cipher = (typeof keyCiphers)[number]

interface MadeFile {
  /** `IFFkey` of `ntpkey_IFFkey_GROUP.FILESTAMP` */
  readonly type: string
  /** `iffkey` of `ntpkey_iffkey_GROUP` */
  readonly link: string
  readonly numbers: readonly PrivateNumbers[]
}

export interface IdentityKind {
  readonly name: string
  readonly fileTypes: readonly string[]
  /** Of the file that everything else is made of. */
  readonly link: string
  readonly parametersLink: string
  readonly serverLink: string
  /** New keys where the options ask for some; the first file is the one behind {@link link}. */
  readonly make: (options: KeygenOptions) => { readonly bits: number; readonly files: readonly MadeFile[] } | undefined
  /** What clients are given; a string says why there is nothing to give. */
  readonly parameters: (numbers: readonly PrivateNumbers[], client: number) => PrivateNumbers | string
  /** What other servers are given. */
  readonly serverKey: (numbers: readonly PrivateNumbers[]) => PrivateNumbers | string
  /** What goes into certificates. */
  readonly certificateValue: (numbers: readonly PrivateNumbers[]) => bigint | undefined
  readonly block: (numbers: PrivateNumbers, cipher: Cipher, password: string | undefined) => PemBlock
}

/** The form that keeps all five numbers of a DSA key. */
const traditional: IdentityKind["block"] = (numbers, cipher, password) =>
  numbers.kind === "dsa"
    ? traditionalDsaBlock(numbers, cipher, password, nodePasswordCiphers)
    : pkcs8Block(numbers, cipher, password, nodePasswordCiphers)

const trouble = (file: string, flag: string, fault: IdentityFileFault): string =>
  `${file}: ${
    fault === "lost-number"
      ? "ntp-keygen 4.2.8 lost a number when it wrote this file, which is beyond repair"
      : "its numbers are not those of such a key"
  }; make a new one with ${flag}`

const iff: IdentityKind = {
  name: "IFF",
  fileTypes: ["IFFkey"],
  link: "iffkey",
  parametersLink: "iffpar",
  serverLink: "iffkey",
  make: ({ iff: asked, identityBits }) => {
    if (!asked) return undefined
    const bits = Math.max(identityBits ?? 2_048, 512)
    return {
      bits,
      files: [{ type: "IFFkey", link: "iffkey", numbers: [iffGroupKeyNumbers(newIffGroup(bits))] }]
    }
  },
  parameters: ([numbers]) => {
    const key = numbers === undefined ? "kind" : iffGroupKeyFrom(numbers)
    return typeof key === "string" ? trouble("the IFF key", "-I", key) : iffParametersNumbers(iffParametersOf(key))
  },
  serverKey: ([numbers]) => {
    const key = numbers === undefined ? "kind" : iffGroupKeyFrom(numbers)
    return typeof key === "string" ? trouble("the IFF key", "-I", key) : iffGroupKeyNumbers(key)
  },
  certificateValue: () => undefined,
  // Clients need the public number, servers do not: their file is encrypted as well as PKCS #8 can.
  block: (numbers, cipher, password) =>
    password === undefined
      ? traditional(numbers, cipher, password)
      : pkcs8Block(numbers, cipher, password, nodePasswordCiphers)
}

/** Longer ones have public values that ntpd misreads in certificates. */
const LONGEST_GQ_BITS = 1_016

const gq: IdentityKind = {
  name: "GQ",
  fileTypes: ["GQkey"],
  link: "gqkey",
  parametersLink: "gqpar",
  serverLink: "gqkey",
  make: ({ gq: asked, identityBits }) => {
    if (!asked) return undefined
    const bits = identityBits ?? LONGEST_GQ_BITS
    if (bits > LONGEST_GQ_BITS)
      throw new WrongCommandLine(
        `expected at most ${LONGEST_GQ_BITS} bits after -b with -G, found ${bits}: ntpd cannot read longer values in certificates`
      )
    return { bits, files: [{ type: "GQkey", link: "gqkey", numbers: [gqGroupKeyNumbers(newGqGroup(bits))] }] }
  },
  parameters: ([numbers]) => {
    const key = numbers === undefined ? "kind" : gqGroupKeyFrom(numbers)
    return typeof key === "string" ? trouble("the GQ key", "-G", key) : gqParametersNumbers(key)
  },
  serverKey: ([numbers]) => {
    const key = numbers === undefined ? "kind" : gqGroupKeyFrom(numbers)
    return typeof key === "string" ? trouble("the GQ key", "-G", key) : gqGroupKeyNumbers(key)
  },
  certificateValue: ([numbers]) => {
    const key = numbers === undefined ? "kind" : gqGroupKeyFrom(numbers)
    return typeof key === "string" ? undefined : key.v
  },
  block: (numbers, cipher, password) => pkcs8Block(numbers, cipher, password, nodePasswordCiphers)
}

/** With shorter primes there are too few of them. */
const SHORTEST_MV_FACTOR_BITS = 16

const mv: IdentityKind = {
  name: "MV",
  fileTypes: ["MVta", "MVkey"],
  link: "mvta",
  parametersLink: "mvpar",
  serverLink: "mvkey",
  make: ({ mvClients, identityBits }) => {
    if (mvClients === undefined) return undefined
    const bits = identityBits ?? Math.max(512, SHORTEST_MV_FACTOR_BITS * mvClients)
    if (bits < SHORTEST_MV_FACTOR_BITS * mvClients)
      throw new WrongCommandLine(
        `expected at least ${SHORTEST_MV_FACTOR_BITS * mvClients} bits after -b for ${mvClients} clients, found ${bits}`
      )
    const authority = newMvAuthority(bits, mvClients)
    return {
      bits,
      files: [
        { type: "MVta", link: "mvta", numbers: mvAuthorityNumbers(authority) },
        { type: "MVkey", link: "mvkey", numbers: [mvServerKeyNumbers(authority.server)] }
      ]
    }
  },
  parameters: (numbers, client) => {
    const [, , ...clients] = numbers
    const chosen = clients[client - 1]
    if (chosen === undefined) return `expected a client from 1 to ${clients.length} after --client, found ${client}`
    const parameters = mvParametersFrom(chosen)
    return typeof parameters === "string" ? trouble("the MV keys", "-V", parameters) : mvParametersNumbers(parameters)
  },
  serverKey: ([, server]) => {
    const key = server === undefined ? "kind" : mvServerKeyFrom(server)
    return typeof key === "string" ? trouble("the MV keys", "-V", key) : mvServerKeyNumbers(key)
  },
  certificateValue: () => undefined,
  block: traditional
}

/** In the order in which the reference exports them. */
export const identityKinds: readonly IdentityKind[] = [gq, iff, mv]
