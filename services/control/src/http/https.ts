/** HTTPS for the HTTP listener, with certificates that are read again when their files change, as renewals need. */
import { createServer } from "node:https"
import type { Server } from "node:http"
import type { SecureContextOptions } from "node:tls"
import { createSecureContext } from "node:tls"
import { readRegularFile } from "@meridian/system/regular-file"
import type { MakeServer } from "./http-server.ts"

const LONGEST_PEM = 1 << 20
const LOOK_MS = 30_000

interface HttpsFiles {
  readonly certificateFile: string
  readonly keyFile: string
  /** Authorities of clients' certificates; null: none is asked for. */
  readonly clientsFile: string | null
}

/** @throws FileNotRead, or Error where the files are no certificate and key that fit; neither holds any of the key */
export const makeHttps = (files: HttpsFiles, warn: (message: string) => void): MakeServer => {
  let current = read(files)
  return (options, listener) => {
    const server = createServer(
      // Who shows no certificate, or a wrong one, is told so by the answer: health is for everybody.
      { ...options, ...current, requestCert: files.clientsFile !== null, rejectUnauthorized: false },
      listener
    )
    const looking = setInterval(() => {
      try {
        const next = read(files)
        if (sameContext(current, next)) return
        server.setSecureContext(next)
        current = next
      } catch (error) {
        warn(`HTTPS goes on with the certificate it has: ${(error as Error).message}`)
      }
    }, LOOK_MS)
    looking.unref()
    server.on("close", () => clearInterval(looking))
    return server as unknown as Server
  }
}

interface Context extends SecureContextOptions {
  readonly cert: Buffer
  readonly key: Buffer
  readonly ca?: Buffer
}

const read = ({ certificateFile, keyFile, clientsFile }: HttpsFiles): Context => {
  const context: Context = {
    cert: readRegularFile(certificateFile, LONGEST_PEM),
    key: readRegularFile(keyFile, LONGEST_PEM),
    // setSecureContext() forgets what it is not told.
    minVersion: "TLSv1.2",
    ...(clientsFile === null ? {} : { ca: readRegularFile(clientsFile, LONGEST_PEM) })
  }
  try {
    createSecureContext(context)
  } catch {
    throw new Error(
      `${certificateFile} and ${keyFile} are no certificate and the key that belongs to it${clientsFile === null ? "" : `, or ${clientsFile} holds no certificates`}; expected PEM`
    )
  }
  return context
}

const NOTHING = Buffer.alloc(0)

const sameContext = (a: Context, b: Context): boolean =>
  a.cert.equals(b.cert) && a.key.equals(b.key) && (a.ca ?? NOTHING).equals(b.ca ?? NOTHING)
