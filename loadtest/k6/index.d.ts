/** `import { Client } from "k6/x/ntp"`: NTP load clients whose every reply is checked. */
declare module "k6/x/ntp" {
  export interface ClientOptions {
    /** ADDRESS or ADDRESS:PORT; with NTS it may be left out, and what the key exchange names is asked */
    readonly target?: string
    /** 1 to 4; default 4 */
    readonly version?: number
    /** Milliseconds until a request counts as lost; default 1000 */
    readonly timeout?: number
    /** Milliseconds after which a reply of a flow counts as late besides; default 100 */
    readonly late?: number
    /** Source ports, and so requests under way at once; default 1 */
    readonly sockets?: number
    /** A new source port for each request */
    readonly newPort?: boolean
    /** Local addresses to ask from, one drawn for each port */
    readonly sources?: readonly string[]
    /** Ask in interleaved mode (RFC 9769); a basic reply is a good reply too */
    readonly interleaved?: boolean
    /** Milliseconds that an offset may exceed root distance and half of the delay before the time is wrong; default 1 */
    readonly tolerance?: number
    /** A key of ntp.keys(5): MD5, SHA1, SHA256 or AES128 */
    readonly key?: { readonly id: number; readonly type: string; readonly secret: string }
    /** NTS, AEAD_AES_SIV_CMAC_256: HOST:PORT of the key exchange, a file with its authorities, the name to verify */
    readonly nts?: { readonly server: string; readonly ca?: string; readonly name?: string; readonly timeout?: number }
  }

  /** Times in seconds. */
  export interface Reply {
    readonly offset: number
    readonly delay: number
    readonly rootDistance: number
    readonly stratum: number
    readonly leap: number
    readonly version: number
    readonly reference: string
    /** Four letters, or empty */
    readonly kiss: string
    readonly bytes: number
    readonly cookies: number
    readonly interleaved: boolean
  }

  export interface Answer {
    /** A reply that proves everything it claims, and no kiss-o'-death */
    readonly ok: boolean
    /** Why nothing came: timeout, refused, keys, no-cookie, socket, send, ended; or empty */
    readonly lost: string
    /** What is wrong with the reply: time, origin, mac, nts-tag, longer-than-request …; or empty */
    readonly wrong: string
    /** Milliseconds */
    readonly duration: number
    readonly reply: Reply
  }

  export interface Burst {
    readonly sent: number
    readonly answered: number
    readonly lost: number
    readonly wrong: number
    readonly kod: number
  }

  export class Client {
    constructor(options: ClientOptions)
    /** Asks once. It always settles: with a reply, or with why there is none. */
    query(): Promise<Answer>
    /** Asks `count` times at `rate` a second; 0 is as fast as the sockets are answered. */
    burst(count: number, rate: number): Promise<Burst>
    /**
     * Plain requests in an open loop: `rate` a second for so many seconds, whether replies come or not, 16 a system call. Every reply
     * is judged and counted; at most some 2,000 a second are told with their duration and offset. All that is due is sent, if need be
     * for longer than was asked: `ntp_flow_seconds` is how long that took, so `ntp_requests` by it is the pace that was kept.
     */
    flow(rate: number, seconds: number): Promise<Burst>
    /** Sends what no client would: noise, modes 6 and 7, fields that lie, cookies that nobody sealed. Sums of packets and bytes. */
    hostile(
      rate: number,
      seconds: number
    ): Promise<{
      readonly sent: number
      readonly sentBytes: number
      readonly received: number
      readonly receivedBytes: number
    }>
    /** A key exchange by itself; NTS alone. */
    exchange(): Promise<{ readonly ok: boolean; readonly error?: string; readonly cookies?: number }>
    close(): void
  }
}
