/** askAsWindows as a program, for a server that only a network namespace's own processes reach: ADDRESS PORT PATIENCE, then questions as JSON. */
import { askAsWindows, type WindowsQuestion } from "@meridian/testkit/windows-client"

const [address = "", port = "", patience = "", ...questions] = process.argv.slice(2)
for (const text of questions) {
  const { verdict, bytes } = await askAsWindows(
    address,
    Number(port),
    JSON.parse(text) as WindowsQuestion,
    Number(patience)
  )
  process.stdout.write(`${JSON.stringify({ verdict, hex: Buffer.from(bytes).toString("hex") })}\n`)
}
