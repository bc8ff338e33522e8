/** Asks for time as a Windows domain member does ([MS-SNTP]), and checks what came back as one would. */
import { createHash } from "node:crypto"
import { createSocket } from "node:dgram"
import { ntHash } from "@meridian/auth/md4"
import { MS_SNTP_BYTES, MS_SNTP_EXTENDED_BYTES, MsSntpOffset, PREVIOUS_BIT } from "@meridian/wire/ms-sntp"
import { flagsOf, HEADER_BYTES, Mode, Offset } from "@meridian/wire/ntp"

export interface WindowsQuestion {
  readonly rid: number
  /** What the answer is checked with. */
  readonly password: string
  readonly version?: number
  readonly mode?: number
  /** Asks for the signature of the previous password. */
  readonly previous?: boolean
  /** A checksum of its own, which no client sends. */
  readonly wrongChecksum?: boolean
  readonly extended?: boolean
}

/** `signed` is right under the password; `badly-signed` is not; `unsigned` carries no checksum of that length. */
export interface WindowsAnswer {
  readonly verdict: "no-answer" | "signed" | "badly-signed" | "unsigned"
  readonly bytes: Uint8Array
}

/** The request's octets. @param transmit NTP timestamp, which the answer's origin must be */
export const windowsRequest = (question: WindowsQuestion, transmit: bigint): Uint8Array<ArrayBuffer> => {
  const { rid, version = 3, mode = Mode.client, previous = false, wrongChecksum = false, extended = false } = question
  const bytes = new Uint8Array(extended ? MS_SNTP_EXTENDED_BYTES : MS_SNTP_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint8(Offset.flags, flagsOf(3, version, mode))
  view.setInt8(Offset.poll, 10)
  view.setBigUint64(Offset.transmit, transmit)
  view.setUint32(MsSntpOffset.keyId, previous && !extended ? (rid | PREVIOUS_BIT) >>> 0 : rid, true)
  if (extended) bytes.set([previous ? 1 : 0, 1, 0], MsSntpOffset.flags)
  if (wrongChecksum) bytes.fill(1, HEADER_BYTES + 4)
  return bytes
}

/** Whether an answer to that request is one that a Windows client would believe. */
const judgeAnswer = (question: WindowsQuestion, transmit: bigint, bytes: Uint8Array): WindowsAnswer => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < HEADER_BYTES || view.getBigUint64(Offset.origin) !== transmit)
    return { verdict: "no-answer", bytes }
  if (bytes.length !== MS_SNTP_BYTES) return { verdict: "unsigned", bytes }
  const digest = createHash("md5").update(ntHash(question.password)).update(bytes.subarray(0, HEADER_BYTES)).digest()
  const isRight = digest.equals(bytes.subarray(MsSntpOffset.checksum))
  return { verdict: isRight ? "signed" : "badly-signed", bytes }
}

/** Sends one request and waits for its answer, no longer than `patience` milliseconds. */
export const askAsWindows = (
  address: string,
  port: number,
  question: WindowsQuestion,
  patience: number
): Promise<WindowsAnswer> =>
  new Promise((done, failed) => {
    const transmit = (BigInt(Math.floor(Date.now() / 1000)) + 2_208_988_800n) * 2n ** 32n + BigInt(process.pid)
    const socket = createSocket(address.includes(":") ? "udp6" : "udp4")
    const finish = (answer: WindowsAnswer): void => {
      clearTimeout(limit)
      socket.close()
      done(answer)
    }
    const limit = setTimeout(() => finish({ verdict: "no-answer", bytes: new Uint8Array(0) }), patience)
    socket.on("error", failed)
    socket.on("message", (bytes) => {
      const answer = judgeAnswer(question, transmit, bytes)
      if (answer.verdict !== "no-answer") finish(answer)
    })
    socket.connect(port, address, () => socket.send(windowsRequest(question, transmit)))
  })
