/**
 * A client that does nothing but NTS-KE, for the bench: full handshakes, the certificate verified, every reply judged.
 * Prints one JSON object; a failed exchange ends it with exit code 1.
 *
 * Arguments: --address A --port N --authority FILE --server-name NAME --seconds S --most N --clients N at a time
 */
import { readFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { AeadId } from "@meridian/auth/aead"
import { exchangeKeys, trustIn } from "./nts-session.ts"

/** What it prints. */
export interface HandshakeReport {
  readonly handshakes: number
  readonly seconds: number
}

const COOKIES = 8

const main = async (): Promise<HandshakeReport> => {
  const { values } = parseArgs({
    options: {
      address: { type: "string", default: "127.0.0.1" },
      port: { type: "string", default: "4460" },
      authority: { type: "string", default: "" },
      "server-name": { type: "string", default: "localhost" },
      seconds: { type: "string", default: "2" },
      most: { type: "string", default: "1000000" },
      clients: { type: "string", default: "8" }
    }
  })
  const { address } = values
  const trust = trustIn(readFileSync(values.authority, "utf8"))
  const server = { address, port: Number(values.port), trust, serverName: values["server-name"] }
  const begin = performance.now()
  const end = begin + Number(values.seconds) * 1000
  let begun = 0
  let handshakes = 0
  const client = async (): Promise<void> => {
    while (performance.now() < end && begun < Number(values.most)) {
      begun++
      const { cookies } = await exchangeKeys(server, [AeadId.sivCmac256])
      if (cookies.length !== COOKIES) throw new Error(`expected ${COOKIES} cookies, found ${cookies.length}`)
      handshakes++
    }
  }
  await Promise.all(Array.from({ length: Number(values.clients) }, client))
  return { handshakes, seconds: (performance.now() - begin) / 1000 }
}

if (import.meta.main) {
  try {
    console.log(JSON.stringify(await main()))
  } catch (error) {
    console.error((error as Error).message)
    process.exit(1)
  }
}
