#!/usr/bin/env node
// Plain JavaScript, so that any Node can start it: hands over to the Node that Meridian pins.
import module from "node:module"
import { fileURLToPath } from "node:url"

const at = (path) => fileURLToPath(new URL(`../../../${path}`, import.meta.url))
const main = fileURLToPath(new URL("../src/main.ts", import.meta.url))
const pinned = at("node_modules/.bin/node")

/** Programs of their own: this process becomes them, so that signals and exit codes are theirs. Nothing is loaded on the way. */
const programs = {
  up: "services/supervisor/src/main.ts",
  signd: "services/signd/src/daemon/main.ts",
  exabgp: "services/anycast/src/exabgp-main.ts"
}
/**
 * For Node itself. Nothing is compiled beside the main thread: Node's exit waits for such a thread, which may wait for the main one to collect
 * garbage, for ever. One stack of a start that ended at once and stood (Node 26.10, a busy machine) showed that.
 */
const flags = [
  "--max-semi-space-size=1",
  "--optimize-for-size",
  "--no-concurrent-recompilation",
  "--no-concurrent-sparkplug",
  "--disable-warning=ExperimentalWarning"
]
/** What each loads before all else. */
const firstOf = { up: ["services/supervisor/src/early-signals.ts"] }
const [command = "", ...args] = process.argv.slice(2)

if (Number(process.versions.node.split(".")[0]) >= 26) {
  // Node keeps stripped and compiled modules here. A process that finds them need not load the TypeScript stripper,
  // which alone costs 17 MB; children inherit the variable.
  process.env.NODE_COMPILE_CACHE ??= at("node_modules/.cache/meridian")
  if (Object.hasOwn(programs, command)) {
    const first = (firstOf[command] ?? []).flatMap((module) => ["--import", at(module)])
    const program = at(programs[command])
    // Each process has one thread that allocates: more of malloc's arenas only hold memory.
    const environment = { MALLOC_ARENA_MAX: "1", ...process.env }
    process.execve(process.execPath, [process.execPath, ...flags, ...first, program, ...args], environment)
  }
  module.enableCompileCache(process.env.NODE_COMPILE_CACHE)
  await import(main)
} else if ((await import("node:fs")).existsSync(pinned)) {
  const { spawn } = await import("node:child_process")
  // Ctrl-C goes to both from the terminal; what a service manager sends to this process alone is passed on.
  const child = spawn(pinned, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: "inherit" })
  process.on("SIGINT", () => {})
  for (const signal of ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"]) process.on(signal, () => child.kill(signal))
  child.on("exit", (code) => process.exit(code ?? 1))
} else {
  process.stderr.write("meridian: Node 26 is not installed here; run `npm install` in the checkout first\n")
  process.exit(1)
}
