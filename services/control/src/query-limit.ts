/**
 * How often one address may ask: a burst, then so many a second, which leaves room for a screen that asks of each of a
 * hundred sources and none for a flood.
 */
import { AddressLimit } from "@meridian/protocol/access/token-bucket"

const RATE = { burst: 500, perSecond: 200 }
const MOST_ADDRESSES = 4_096

export const queryLimit = (): AddressLimit => new AddressLimit(RATE, MOST_ADDRESSES)
