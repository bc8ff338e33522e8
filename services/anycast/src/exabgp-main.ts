/** `meridian exabgp SOCKET`: see exabgp-helper.ts. Exit codes: 0 ended by ExaBGP, 2 wrong command line. */
import { resolve } from "node:path"
import { exabgpCommand } from "@meridian/config/command-lines"
import { renderHelp } from "@meridian/config/flags"
import { parseFlags } from "@meridian/system/command-line"
import { runExabgpHelper } from "./exabgp-helper.ts"

const parsed = parseFlags(exabgpCommand, process.argv.slice(2))
if (!parsed.ok) {
  process.stderr.write(`meridian: ${parsed.error.message}\n`)
  process.exit(2)
}
if (parsed.value.help) process.stdout.write(renderHelp(exabgpCommand))
else await runExabgpHelper(resolve(parsed.value.positionals[0] ?? ""))
