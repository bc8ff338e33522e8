/**
 * Loads the C addon, which `build.mjs` compiles at install. Where it is missing or was built for another Node, the
 * fallbacks of this package take its place and the reason is there to be told.
 */
import { existsSync } from "./files.ts"
import { createRequire } from "node:module"
import { fileURLToPath } from "node:url"

/** A UDP socket in C; see native/udp.c. Its memory is `block`, laid out as {@link UdpLayout} says. */
export interface NativeUdpHandle {
  readonly block: ArrayBuffer
  readonly family: 4 | 6
  readonly port: number
  readonly receive: () => number
  readonly send: (count: number, stampAt?: number) => number
  readonly sent: () => number
  readonly latencies: () => readonly number[]
  readonly overflows: () => number
  readonly sendErrors: () => number
  readonly receiveErrors: () => number
  readonly shed: (whether: boolean) => void
  readonly onReadable: (callback: () => void) => void
  readonly pause: () => void
  readonly close: () => void
}

/** Serves sockets in libuv's place; see native/packet-loop.c of libs/udp. */
interface NativePacketLoop {
  readonly stop: () => void
}

/** A UDP socket that asks, in C; see native/udp-client.c. */
export interface NativeUdpClientHandle {
  readonly family: 4 | 6
  readonly port: number
  /** 1 where the kernel stamps what is sent. */
  readonly stamps: number
  readonly send: (bytes: Uint8Array, address: string, port: number) => number
  readonly receive: (bytes: Uint8Array, numbers: Float64Array) => number
  readonly source: () => string
  /** Hears a multicast group through the interface that has an address. */
  readonly join: (group: string, through: string) => void
  readonly onReadable: (callback: () => void) => void
  readonly close: () => void
}

/** Byte offsets into a handle's block, and the sizes the C code was compiled with. */
interface UdpLayout {
  readonly slotBytes: number
  readonly slotStride: number
  readonly batchCapacity: number
  readonly addressStride: number
  readonly localAddressStride: number
  readonly bytes: number
  readonly arrivalSeconds: number
  readonly arrivalFractions: number
  readonly served: number
  readonly now: number
  readonly requestLengths: number
  readonly replyLengths: number
  readonly addresses: number
  readonly localAddresses: number
}

/** A mapping of the clock page; lines travel as bytes. See libs/clocks/native/clock-page.h. */
interface NativeClockPage {
  readonly write: (line: Uint8Array) => void
  readonly read: (line: Uint8Array) => boolean
  readonly close: () => void
}

/** A reference clock's shared memory segment; see native/shm-segment.c. */
export interface NativeShmSegment {
  readonly size: number
  readonly owner: number
  readonly permissions: number
  readonly take: (numbers: Float64Array) => number
  readonly isCurrent: () => boolean
  readonly close: () => void
}

/** Tells of changes of the machine's interfaces and addresses; see native/network.c. */
interface NativeNetworkWatch {
  readonly close: () => void
}

/** Looks at counts of turns; see native/turn-count.c. */
interface NativeTurnWatch {
  readonly add: (descriptor: number, most: number) => number
  readonly still: (place: number) => number
  readonly drop: (place: number) => void
  readonly closely: (whether: boolean) => void
  readonly looks: () => number
  readonly close: () => void
}

/** Tells of steps of CLOCK_REALTIME; see native/clock-watch.c of libs/clocks. */
interface NativeClockWatch {
  readonly close: () => void
}

interface NativeUnixDatagram {
  readonly receive: (bytes: Uint8Array) => number
  readonly sender: () => string
  readonly send: (path: string, bytes: Uint8Array) => boolean
  readonly onReadable: (callback: () => void) => void
  readonly close: () => void
}

export interface NativeAddon {
  /** `process.version` of the Node it was built for. */
  readonly nodeVersion: string
  readonly UdpHandle: new (descriptor: number, page: number) => NativeUdpHandle
  readonly PacketLoop: new (
    handles: readonly NativeUdpHandle[],
    answer: () => void,
    /** Number of the socket, how many datagrams it has, how many replies were written to them. */
    told: Int32Array<ArrayBuffer>,
    stampAt: number,
    gatherNanoseconds: number
  ) => NativePacketLoop
  readonly UdpClientHandle: new (
    localAddress: string,
    localPort: number,
    remoteAddress: string,
    remotePort: number,
    /** 0 asks, 1 tells many, 2 hears those who tell. */
    purpose?: number,
    /** How far multicasts go. */
    hops?: number
  ) => NativeUdpClientHandle
  readonly udpBind: (
    address: string,
    port: number,
    exclusive: boolean,
    receiveBufferBytes: number,
    beforehand: boolean
  ) => number
  readonly duplicateDescriptor: (descriptor: number) => number
  /** Undefined where this Node lacks the functions; see native/certificate-chain.c of libs/tls. */
  readonly certificateFault?: (
    chain: readonly Uint8Array[],
    roots: Uint8Array,
    name: string,
    isAddress: boolean,
    unix: number
  ) => string
  /** See native/packet-steering.c of libs/udp. */
  readonly attachReuseportProgram: (descriptor: number, instructions: Uint8Array) => void
  readonly udpLayout: UdpLayout
  /** Interface name, its index and an address without a zone, of interfaces that are up; see native/network.c. */
  readonly networkAddresses: () => readonly (readonly [string, number, string])[]
  readonly NetworkWatch: new (onChange: () => void) => NativeNetworkWatch
  /** CLOCK_REALTIME seconds and nanoseconds, CLOCK_MONOTONIC seconds, of one moment. */
  readonly readClocks: (out: Float64Array) => void
  /** Bytes of file mappings whose pages were let go; see native/memory.c. */
  readonly releaseStartupPages: () => number
  readonly collectHeap: () => void
  readonly forbidCoreDumps: () => boolean
  readonly permitPriority: (nice: number) => boolean
  /** See native/process-image.c. */
  readonly keepOnExec: (descriptor: number) => void
  readonly closeOnExec: (descriptor: number) => void
  readonly reapChild: (pid: number) => boolean
  /** Whether there was such a variable; see native/environment.c. */
  readonly eraseVariable: (name: string) => boolean
  /** Memory to share; see native/shared-memory.c. */
  readonly makeSharedMemory: (name: string, bytes: number) => number
  readonly mapSharedMemory: (descriptor: number) => ArrayBuffer
  /** Counts turns of the event loop in memory of a supervisor's; see native/turn-count.c. */
  readonly countTurns: (descriptor: number, milliseconds: number) => void
  readonly TurnWatch: new (milliseconds: number, after: number, onLook: (looks: number) => void) => NativeTurnWatch
  readonly ClockWatch: new (onStep: (seconds: number) => void) => NativeClockWatch
  /** One datagram to the service manager; see native/service-manager.c. */
  readonly notifyServiceManager: (path: string, text: string) => void
  /** Smallest forward step of CLOCK_REALTIME between two readings, seconds. */
  readonly smallestClockStep: () => number
  readonly ClockPage: new (descriptor: number, writable: boolean) => NativeClockPage
  /** The descriptor of an empty clock page, sealed in its size. */
  readonly makeClockPage: () => number
  /** Evaluates a line at a reading of CLOCK_MONOTONIC in nanoseconds. */
  readonly serveClockLine: (line: Uint8Array, monotonic: bigint, out: Uint32Array) => void
  /** Byte offsets in a line, by field; `bytes` of a line, and `lineAt` in the page. */
  readonly clockLineLayout: Readonly<Record<string, number>>
  readonly ShmSegment: new (unit: number, isPrivate: boolean) => NativeShmSegment
  /** Unix datagram sockets; see native/clock-socket.c. */
  readonly unixDatagramBind: (path: string, permissions: number) => number
  readonly unixDatagramHasReceiver: (path: string) => boolean
  readonly datagramReceive: (descriptor: number, bytes: Uint8Array) => number
  /** See native/unix-datagram.c of libs/udp. */
  readonly UnixDatagram: new (descriptor: number) => NativeUnixDatagram
  /** Devices; see native/clock-devices.c. */
  readonly ppsCapture: (descriptor: number, clear: boolean) => void
  readonly ppsFetch: (descriptor: number, numbers: Float64Array) => void
  readonly phcRead: (descriptor: number, numbers: Float64Array) => number
  /** clock_adjtime(2); see kernel-clock-record.ts and native/kernel-clock.c. */
  readonly clockAdjtime: (record: Float64Array) => void
  /** Of the calling thread; sets are sums of 2^number. See native/capabilities.c. */
  readonly setCapabilities: (effective: number, permitted: number, inheritable: number) => void
  readonly keepCapabilities: (keep: 0 | 1) => void
  readonly dropBoundingCapability: (number: number) => void
  readonly setAmbientCapability: (number: number, raised: 0 | 1) => void
  /** Network devices and their addresses; see native/network-device.c. */
  readonly openTunnel: (name: string) => number
  readonly setTunnelLink: (descriptor: number, up: boolean) => void
  readonly bringUp: (name: string) => void
  readonly changeAddress: (device: string, address: Uint8Array, add: boolean) => void
  /** bpf(2); see native/bpf.c of libs/xdp, which says what each expects. */
  readonly bpfMapCreate: (
    type: number,
    keyBytes: number,
    valueBytes: number,
    entries: number,
    flags: number,
    name: string
  ) => number
  readonly bpfProgramLoad: (instructions: Uint8Array, license: string, flags: number, log: Uint8Array) => number
  readonly bpfLinkXdp: (program: number, interfaceNumber: number, flags: number) => number
  readonly bpfLinkInterface: (link: number) => number
  readonly bpfMapUpdate: (map: number, key: Uint8Array, value: Uint8Array) => void
  readonly bpfMapLookup: (map: number, key: Uint8Array, value: Uint8Array) => boolean
  readonly bpfMapDelete: (map: number, key: Uint8Array) => boolean
  readonly bpfMapFirstKey: (map: number, key: Uint8Array) => boolean
  readonly bpfMapRead: (map: number, keys: Uint8Array, values: Uint8Array, entries: number) => number
  readonly bpfTestRun: (
    program: number,
    packet: Uint8Array,
    out: Uint8Array,
    repeat: number
  ) => readonly [verdict: number, length: number, nanoseconds: number]
  readonly interfaceNumber: (name: string) => number
}

/** The addon, or why there is none. */
type NativeResult =
  | { readonly addon: NativeAddon; readonly reason?: undefined }
  | { readonly addon?: undefined; readonly reason: string }

/** Where build.mjs puts the addon. */
export const ADDON_PATH = fileURLToPath(new URL("../build/meridian.node", import.meta.url))

const REBUILD = "run `node libs/system/build.mjs`"

/** Loads an addon from a file, without remembering it. Never throws. */
export const loadNativeFrom = (path: string): NativeResult => {
  if (!existsSync(path)) return { reason: `the addon is not built; ${REBUILD}` }
  try {
    const addon = createRequire(import.meta.url)(path) as NativeAddon
    if (addon.nodeVersion === process.version) return { addon }
    return { reason: `the addon was built for Node ${addon.nodeVersion}, this is ${process.version}; ${REBUILD}` }
  } catch (error) {
    return { reason: `the addon does not load (${error instanceof Error ? error.message : String(error)}); ${REBUILD}` }
  }
}

let loaded: NativeResult | undefined

/** The addon of this installation, loaded on first use. */
export const loadNative = (): NativeResult => (loaded ??= loadNativeFrom(ADDON_PATH))

/** Has this process run on the fallbacks, whatever is installed: for tests, and for a machine where the addon misbehaves. */
export const disableNative = (reason: string): void => {
  loaded = { reason }
}

/** The errno's name that an error from the addon or from Node carries, or "UNKNOWN". */
export const errnoName = (error: unknown): string =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "UNKNOWN"
