/** The `meridian` command: runs the subcommand, turns what went wrong into one line and an exit code. */
import { runMeridian } from "./commands.ts"

// `meridian … | head` is no fault, and whoever has gone wants no more. A full disk is one.
process.stdout.on("error", ({ code, message }: NodeJS.ErrnoException) => {
  if (code !== "EPIPE") process.stderr.write(`meridian: cannot write the output: ${code ?? message}\n`)
  process.exit(code === "EPIPE" ? 0 : 1)
})

process.exitCode = await runMeridian(process.argv.slice(2))
