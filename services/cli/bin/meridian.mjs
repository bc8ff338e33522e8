#!/usr/bin/env node
// Plain JavaScript, so that any Node can start it: hands over to the Node that Meridian pins.
import { existsSync } from "node:fs"
import { spawnSync } from "node:child_process"
import module from "node:module"
import { fileURLToPath } from "node:url"

const at = (path) => fileURLToPath(new URL(`../../../${path}`, import.meta.url))
const main = fileURLToPath(new URL("../src/main.ts", import.meta.url))
const pinned = at("node_modules/.bin/node")

if (Number(process.versions.node.split(".")[0]) >= 26) {
  // Node keeps stripped and compiled modules here. A process that finds them need not load the TypeScript stripper,
  // which alone costs 17 MB; children inherit the variable.
  process.env.NODE_COMPILE_CACHE ??= at("node_modules/.cache/meridian")
  module.enableCompileCache(process.env.NODE_COMPILE_CACHE)
  await import(main)
} else if (existsSync(pinned)) {
  // The child gets the terminal's signals itself; this process only waits for its exit code.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => {})
  const child = spawnSync(pinned, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: "inherit" })
  process.exit(child.status ?? 1)
} else {
  process.stderr.write("meridian: Node 26 is not installed here; run `npm install` in the checkout first\n")
  process.exit(1)
}
