/** ntpd-rs ends where it may not set the clock: for it those calls do nothing, and the system refuses them besides. */
import { execFileSync } from "node:child_process"
import { join, resolve } from "node:path"

const SOURCE = resolve(import.meta.dirname, "../../../infra/peers/noclock.c")

/** The arguments of a peer that has a loader of its own, which loads what replaces those calls. @param folder for what is compiled */
export const withoutClock = (args: readonly string[], folder: string): readonly string[] => {
  const shim = join(folder, "noclock.so")
  execFileSync("cc", ["-O1", "-w", "-shared", "-fPIC", "-o", shim, SOURCE])
  const at = args.indexOf("--library-path") + 2
  return [...args.slice(0, at), "--preload", shim, ...args.slice(at)]
}
