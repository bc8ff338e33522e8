/** Reads configuration files and the machine's addresses for libs/config, which does no I/O itself. */
import { readdirSync, readFileSync, statSync } from "node:fs"
import { availableParallelism, networkInterfaces } from "node:os"
import { parseAddress } from "@meridian/config/address"
import type { InterfaceAddress } from "@meridian/config/listen"
import type { ReadFile } from "@meridian/config/parse"
import { type Machine, NTP_PORT } from "@meridian/config/settings"
import { mayBindPort } from "./capabilities.ts"

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  EACCES: "permission denied",
  ENOTDIR: "a part of its path is not a directory"
}

/** Reads a file, or lists a directory; what cannot be read is an answer, not an exception. */
export const readConfigurationFile: ReadFile = (path) => {
  try {
    if (statSync(path).isDirectory()) return { ok: true, entries: readdirSync(path) }
    return { ok: true, bytes: readFileSync(path) }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    return { ok: false, reason: REASONS[code ?? ""] ?? message, missing: code === "ENOENT" || code === "ENOTDIR" }
  }
}

/** What the defaults of a configuration depend on. */
export const thisMachine = (): Machine => ({
  cores: availableParallelism(),
  interfaces: machineAddresses(),
  ntpPort: mayBindPort(NTP_PORT)
})

/** The addresses of the machine's network interfaces, for `interface` lines. */
const machineAddresses = (): readonly InterfaceAddress[] =>
  Object.entries(networkInterfaces()).flatMap(([name, entries]) =>
    (entries ?? []).flatMap((entry) => {
      const parsed = parseAddress(entry.address)
      return parsed === undefined ? [] : [{ name, address: parsed }]
    })
  )
