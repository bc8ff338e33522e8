/** `config check` looks at the files that a configuration names: whether they are there, whether the node's user may use them, and what is in them. */
import { createPrivateKey, X509Certificate } from "node:crypto"
import { statSync } from "@meridian/system/files"
import { dirname, resolve } from "node:path"
import { leapFileExpired, LeapFileError, parseLeapFile } from "@meridian/algorithms/leap-file"
import { parseKeyFile } from "@meridian/auth/key-file"
import { type Diagnostic, type Location, warningAt } from "@meridian/config/diagnostic"
import { type NamedFile, namedFiles } from "@meridian/config/named-files"
import type { Settings, Origin } from "@meridian/config"
import { accessProblem, tooOpen } from "@meridian/system/file-access"
import type { Identity } from "@meridian/system/identity"
import { FileNotRead, readRegularFile } from "@meridian/system/regular-file"

/** A remark about a named file. */
export interface FileRemark extends Diagnostic {
  /** The node cannot use it; otherwise it can, and should not as it is. */
  readonly unusable: boolean
}

const MOST_BYTES = 16 * 1024 * 1024
const SECONDS_OF_A_DAY = 86_400

interface Found {
  readonly unusable: boolean
  readonly message: string
}

const unusable = (message: string): Found => ({ unusable: true, message })
const remark = (message: string): Found => ({ unusable: false, message })

interface FileCheck {
  readonly settings: Settings
  /** The files that the settings were read from; the node reads them again at a reload. */
  readonly files: readonly string[]
  /** Who the node runs as once its sockets are open; undefined: whoever starts it. */
  readonly identity: Identity | undefined
  /** A word of the line behind an origin, its first one where it does not hold that. */
  readonly locate: (origin: Origin, word: string) => Location
  readonly unixSeconds: number
}

/** What is wrong with named files, each at the line that names it. */
export const checkNamedFiles = (check: FileCheck): readonly FileRemark[] => {
  const { settings, files, identity, locate } = check
  const named = namedFiles(settings).flatMap((file) =>
    lookAt(file, check).map((found) => placed(found, locate(file.origin, file.path)))
  )
  const reloads = files.flatMap((file) => {
    const problem = identity === undefined ? undefined : accessProblem(file, "read", identity)
    const where: Location = { file, line: 1, column: 1, length: 1, lineText: "" }
    return problem === undefined
      ? []
      : [placed(remark(`a reload cannot read this file again: ${problem.reason}`), where)]
  })
  return [
    ...reloads,
    ...named,
    ...interfaceThatIsMissed(check),
    ...keysThatAreMissed(check),
    ...segmentsOutOfReach(check)
  ]
}

/** The program of `xdp` is attached at the start alone. */
const interfaceThatIsMissed = ({ settings: { xdp }, locate }: FileCheck): readonly FileRemark[] => {
  const { value: place, origin } = xdp
  if (place === undefined || statSync(`/sys/class/net/${place.interface}`, { throwIfNoEntry: false }) !== undefined)
    return []
  const message = `this machine has no interface ${place.interface} now; if it is not there at the start, the workers answer all`
  return [placed(remark(message), locate(origin, place.interface))]
}

const placed = ({ unusable: isUnusable, message }: Found, where: Location): FileRemark => ({
  ...warningAt(where, message),
  unusable: isUnusable
})

const lookAt = (file: NamedFile, check: FileCheck): readonly Found[] => {
  const { path, what } = file
  const problem = accessOf(file, check.identity)
  if (problem !== undefined) return [unusable(`${what} ${path} cannot be used: ${problem}`)]
  const status = statSync(path, { throwIfNoEntry: false })
  const open = file.secret && status?.isFile() === true ? tooOpen(path, status.mode) : undefined
  return [...(open === undefined ? [] : [remark(`${what} ${path}: ${open}`)]), ...contentProblems(file, check)]
}

/** Why the node's user cannot do with a file what it is for. */
const accessOf = ({ path, use }: NamedFile, identity: Identity | undefined): string | undefined => {
  const whole = resolve(path)
  switch (use) {
    case "read":
      return accessProblem(whole, "read", identity)?.reason
    case "device":
      return accessProblem(whole, "read", identity)?.reason
    case "read-first":
      // Whoever starts the node reads it; that its user cannot do so again is worth a line at the start, and no more.
      return accessProblem(whole, "read")?.reason
    case "directory":
      return directoryProblem(whole, identity)
    case "write-beside":
      return directoryProblem(dirname(whole), identity)
    case "append":
      return accessProblem(dirname(whole), "enter")?.reason
  }
}

const directoryProblem = (directory: string, identity: Identity | undefined): string | undefined => {
  const problem = accessProblem(directory, "write", identity) ?? accessProblem(directory, "enter", identity)
  if (problem?.kind === "missing") return `there is no directory ${directory}`
  return problem?.reason
}

const contentProblems = (file: NamedFile, { unixSeconds }: FileCheck): readonly Found[] => {
  const { path, what, content } = file
  if (content === undefined) return []
  try {
    const bytes = readRegularFile(path, MOST_BYTES)
    switch (content) {
      case "symmetric-keys":
        return keyFileProblems(path, bytes.toString("utf8"))
      case "certificate":
        return certificateProblems(path, bytes, unixSeconds)
      case "private-key":
        return privateKeyProblems(file, bytes)
      case "leap-seconds":
        return leapFileProblems(path, bytes.toString("latin1"), unixSeconds)
    }
  } catch (error) {
    // What root alone may read has been spoken of.
    if (error instanceof FileNotRead) return error.reason === "EACCES" ? [] : [unusable(`${what} ${error.message}`)]
    throw error
  }
}

const MOST_KEY_PROBLEMS = 5

const keyFileProblems = (path: string, text: string): readonly Found[] => {
  const { table, problems } = parseKeyFile(text, path)
  if (table.size === 0) return [unusable(`no line of the key file ${path} gives a key`)]
  const shown = problems.slice(0, MOST_KEY_PROBLEMS).map(({ message }) => remark(message))
  const more = problems.length - shown.length
  return more === 0 ? shown : [...shown, remark(`${path}: and ${more} more like these`)]
}

const certificateProblems = (path: string, bytes: Buffer, unixSeconds: number): readonly Found[] => {
  const certificate = certificateIn(bytes)
  if (certificate === undefined) return [unusable(`the certificate ${path} is no certificate in PEM`)]
  const [from, to] = [certificate.validFromDate, certificate.validToDate].map((date) => date.getTime() / 1000)
  if (unixSeconds < from!)
    return [
      unusable(`the certificate ${path} is valid from ${certificate.validFrom} on; is this machine's clock right?`)
    ]
  if (unixSeconds >= to!) return [unusable(`the certificate ${path} expired at ${certificate.validTo}; renew it`)]
  const days = Math.floor((to! - unixSeconds) / SECONDS_OF_A_DAY)
  return days < 7 ? [remark(`the certificate ${path} expires in ${days} days, at ${certificate.validTo}`)] : []
}

const certificateIn = (bytes: Buffer): X509Certificate | undefined => {
  try {
    return new X509Certificate(bytes)
  } catch {
    return undefined
  }
}

const privateKeyProblems = ({ path, certificate: of }: NamedFile, bytes: Buffer): readonly Found[] => {
  try {
    const key = createPrivateKey(bytes)
    const certificate = of === undefined ? undefined : certificateIn(readRegularFile(of, MOST_BYTES))
    return certificate === undefined || certificate.checkPrivateKey(key)
      ? []
      : [unusable(`the private key ${path} is not that of the certificate ${of}`)]
  } catch (error) {
    // The certificate's own line says what is wrong with it.
    if (error instanceof FileNotRead) return []
    return [unusable(`the private key ${path} is no private key in PEM, or one under a password`)]
  }
}

const leapFileProblems = (path: string, text: string, unixSeconds: number): readonly Found[] => {
  const read = parseLeapFile(text, false)
  if (read instanceof LeapFileError)
    return [unusable(`the leap file ${path}${read.line === 0 ? "" : `:${read.line}`}: ${read.message}`)]
  const until = new Date(read.expiresAt * 1000).toISOString().slice(0, 10)
  return leapFileExpired(read, unixSeconds)
    ? [remark(`the leap file ${path} expired on ${until} and says nothing of what comes; get a new one`)]
    : []
}

/** Units from here on anybody may attach; those below are their maker's alone, as are segments of mode 1. */
const FIRST_OPEN_UNIT = 2

/** gpsd writes its first segments as root, and a receiver's lines name those; the clock's process is the node's user by then. */
const segmentsOutOfReach = ({ settings, identity, locate }: FileCheck): readonly FileRemark[] => {
  if (identity === undefined || identity.uid === 0) return []
  return settings.referenceClocks
    .filter(({ value }) => value.kind === "shm" && (value.unit < FIRST_OPEN_UNIT || value.mode === 1))
    .map(({ value, origin }) =>
      placed(
        unusable(
          `the shared memory of SHM(${value.unit}) is for its maker alone, which is root as a rule, so ${identity.name.split(":")[0]} may not attach it; use unit 2 or above, which anybody may use`
        ),
        locate(origin, `127.127.28.${value.unit}`)
      )
    )
}

/** Keys that lines use and the file does not have: no packet can be sent under them. */
const keysThatAreMissed = ({ settings, locate }: FileCheck): readonly FileRemark[] => {
  const { keys, sources } = settings
  const path = keys.file.value
  if (path === undefined) return []
  const there = new Set(idsIn(path))
  if (there.size === 0) return []
  const isTrusted = (id: number): boolean => keys.trusted.some(({ value }) => value.first <= id && id <= value.last)
  const used = [
    ...sources.map(({ value, origin }) => ({ id: value.key, origin, lost: `nothing can be sent to ${value.host}` })),
    { id: keys.controlKey.value, origin: keys.controlKey.origin, lost: "nothing can be changed by mode 6" }
  ]
  return used.flatMap(({ id, origin, lost }) =>
    id === undefined || there.has(id) || !isTrusted(id)
      ? []
      : [placed(unusable(`key ${id} is not in ${path}, so ${lost}`), locate(origin, String(id)))]
  )
}

const idsIn = (path: string): readonly number[] => {
  try {
    return parseKeyFile(readRegularFile(path, MOST_BYTES).toString("utf8"), path).table.keys.map(({ id }) => id)
  } catch (error) {
    if (error instanceof FileNotRead) return []
    throw error
  }
}
