/** Bytes of a local address: 16 of IPv6, or 4 of IPv4 in the first of them. */
export const LOCAL_ADDRESS_STRIDE = 16

/** A batch of datagrams as a socket received it: what a server and those it asks read of it. A UdpSocket is one. */
export interface RequestBatch {
  /** The datagrams; where each begins is said with it. Replies are written over them. */
  readonly bytes: Uint8Array
  /** The same memory. */
  readonly view: DataView
  readonly family: 4 | 6
  /** The senders' sockaddrs by slot (@meridian/wire/source-address). */
  readonly addresses: Uint8Array
  /** The addresses of ours that were asked, {@link LOCAL_ADDRESS_STRIDE} apart; zero where they are not known. */
  readonly localAddresses: Uint8Array
}

export const noBatch: RequestBatch = {
  bytes: new Uint8Array(0),
  view: new DataView(new ArrayBuffer(0)),
  family: 4,
  addresses: new Uint8Array(0),
  localAddresses: new Uint8Array(0)
}

/**
 * Whether requests stand in the queue that a batch came from, because more come than can be answered: not; they do; they do, and
 * whoever is to be answered less is to be passed over in this batch; and more come even than can be received, so each that is passed over counts.
 */
export const Crowd = { none: 0, stands: 1, sheds: 2, drowns: 3 } as const
