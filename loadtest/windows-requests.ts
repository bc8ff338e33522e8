/** Requests of Windows clients for two accounts of a Samba domain, and the check of the signatures that come back. */
import { createHash } from "node:crypto"
import { ntHash } from "@meridian/auth/md4"
import { type SambaAccounts, SAMBA_PASSWORDS } from "@meridian/testkit/samba"
import { MS_SNTP_BYTES, MsSntpOffset } from "@meridian/wire/ms-sntp"
import { HEADER_BYTES, type RequestPool, writePool } from "./request-pool.ts"

/** What Windows sends. */
const VERSION_3_CLIENT = 0x1b

/** Requests that alternate between the domain's two machines. */
export const windowsPool = (folder: string, { testpc1, testpc2 }: SambaAccounts): RequestPool => {
  const file = writePool(folder, "mssntp", MS_SNTP_BYTES, (request, index) => {
    request[0] = VERSION_3_CLIENT
    const view = new DataView(request.buffer, request.byteOffset, request.byteLength)
    view.setUint32(MsSntpOffset.keyId, index % 2 === 0 ? testpc1 : testpc2, true)
  })
  const hashes = [ntHash(SAMBA_PASSWORDS.testpc1), ntHash(SAMBA_PASSWORDS.testpc2)] as const
  return {
    kind: "mssntp",
    file,
    requestBytes: MS_SNTP_BYTES,
    verify: (replies) => {
      for (const { index, packet } of replies) {
        const hash = hashes[index % 2 === 0 ? 0 : 1]
        const digest = createHash("md5").update(hash).update(packet.subarray(0, HEADER_BYTES)).digest()
        if (!digest.equals(packet.subarray(MsSntpOffset.checksum)))
          throw new Error(`the reply to request ${index}: its signature is not that of the account's password`)
      }
    }
  }
}
