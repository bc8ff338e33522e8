/** Reads configuration files and the machine's addresses for libs/config, which does no I/O itself. */
import { readdirSync, statSync } from "./files.ts"
import { availableParallelism, networkInterfaces } from "node:os"
import { resolve } from "node:path"
import { isLinkLocal, parseAddress, withScope } from "@meridian/config/address"
import type { InterfaceAddress } from "@meridian/config/listen"
import { type ReadFile, type Machine, NTP_PORT } from "@meridian/config"
import { mayBindPort } from "./capabilities.ts"
import { reasonOf } from "./errno-words.ts"
import { errnoName, loadNative } from "./native.ts"
import { FileNotRead, readRegularFile, readWholePipe } from "./regular-file.ts"

const LONGEST_FILE = 64 * 1024 * 1024
/** What a shell hands over in place of a file, as in `config check <(…)`: its writer is there. */
const HANDED_OVER = /^\/dev\/(?:stdin|fd\/\d+)$/

/** Reads a file, or lists a directory; what cannot be read is an answer, not an exception. */
export const readConfigurationFile: ReadFile = (path) => {
  try {
    if (statSync(path).isDirectory()) return { ok: true, entries: readdirSync(path) }
    return { ok: true, bytes: HANDED_OVER.test(path) ? readWholePipe(path) : readRegularFile(path, LONGEST_FILE) }
  } catch (error) {
    if (error instanceof FileNotRead) return { ok: false, reason: error.why, missing: error.reason === "ENOENT" }
    const missing = ["ENOENT", "ENOTDIR"].includes(errnoName(error))
    return { ok: false, reason: reasonOf(error), missing }
  }
}

/** What the defaults of a configuration depend on. */
export const thisMachine = (): Machine => ({
  cores: availableParallelism(),
  interfaces: machineAddresses(),
  ntpPort: mayBindPort(NTP_PORT)
})

/** Node leaves out interfaces without a carrier, whose addresses can be asked from this machine all the same. */
const addressesByNode = (): readonly (readonly [string, number, string])[] =>
  Object.entries(networkInterfaces()).flatMap(([name, entries]) =>
    (entries ?? []).map(({ address, scopeid = 0 }) => [name, scopeid, address] as const)
  )

/** The addresses of the machine's network interfaces that are up, for `interface` lines; link-local ones with their zone. */
export const machineAddresses = (): readonly InterfaceAddress[] =>
  (loadNative().addon?.networkAddresses() ?? addressesByNode()).flatMap(([name, index, text]) => {
    const parsed = parseAddress(text)
    if (parsed === undefined) return []
    return [{ name, index, address: isLinkLocal(parsed) ? withScope(parsed, name) : parsed }]
  })

const LINES = "MERIDIAN_CONFIG_"

/**
 * A configuration that begins with a file, where there is one, and goes on with the variables whose names begin with MERIDIAN_CONFIG_, in
 * the order of their names: each holds lines of ntp.conf. For containers.
 * @returns the name to begin with, which is the file's own where there is no such variable, and what reads it
 */
export const withEnvironmentLines = (
  file: string | undefined,
  environment: Readonly<NodeJS.ProcessEnv>
): { readonly file: string | undefined; readonly readFile: ReadFile } => {
  const names = Object.keys(environment)
    .filter((name) => name.startsWith(LINES))
    .toSorted()
  if (names.length === 0) return { file, readFile: readConfigurationFile }
  const whole = file === undefined ? [] : [resolve(file)]
  const text = [...whole, ...names].map((name) => `includefile "${name}"\n`).join("")
  return {
    file: ENVIRONMENT,
    readFile: (path, from) => {
      if (path === ENVIRONMENT && from === undefined) return { ok: true, bytes: Buffer.from(text) }
      const lines = from === ENVIRONMENT && names.includes(path) ? environment[path] : undefined
      return lines === undefined ? readConfigurationFile(path, from) : { ok: true, bytes: Buffer.from(lines) }
    }
  }
}

/** What the lines of the environment are a file of. */
const ENVIRONMENT = "environment"
