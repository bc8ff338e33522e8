/** The row of the HTTP listener: metrics, health and JSON. */
import { isLoopback, isWildcard, parseAddress } from "./address.ts"
import { one, row } from "./directive.ts"
import { accepted, oneOf, path, refused, type ValueType } from "./value-types.ts"

/** Where HTTP is answered. */
export interface HttpPlace {
  /** Numeric. */
  readonly address: string
  readonly port: number
  readonly isLoopback: boolean
}

export const DEFAULT_HTTP_PLACE: HttpPlace = { address: "127.0.0.1", port: 11_180, isLoopback: true }

const formatHttpPlace = ({ address, port }: HttpPlace): string =>
  address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`

/** `127.0.0.1:11180`, `[::1]:11180` or `off`, which is undefined. */
export const httpPlace: ValueType<HttpPlace | undefined> = {
  syntax: "ADDRESS:PORT|off",
  expected: "an address with a port, such as 127.0.0.1:11180 or [::1]:11180, or off",
  parse: (text) => {
    if (text === "off") return accepted(undefined)
    const parts = /^(?:\[([^\]]{1,64})\]|([^:]{1,64})):(\d{1,5})$/.exec(text)
    const address = parseAddress(parts?.[1] ?? parts?.[2] ?? "")
    const port = Number(parts?.[3])
    if (address === undefined || !(port >= 1 && port <= 65_535)) return refused
    return accepted({ address: address.text, port, isLoopback: isLoopback(address) && !isWildcard(address) })
  },
  write: (value) => (value === undefined ? "off" : formatHttpPlace(value as HttpPlace))
}

export const controlDirective = row({
  name: "control",
  operands: { what: one(oneOf("http")), place: one(httpPlace) },
  options: {
    token: path("FILE"),
    operators: path("FILE"),
    cert: path("FILE"),
    key: path("FILE"),
    clients: path("FILE")
  },
  default: "http 127.0.0.1:11180",
  meaning:
    "Where metrics, health, JSON and a page are served over HTTP. On loopback nothing more is needed. Elsewhere every request must carry the token in the file `token`, or the client's certificate must be signed by an authority in the file `clients`. `cert` with its `key` makes it HTTPS. Nothing can be changed here, unless the file `operators` names who may rotate and revoke keys and drain nodes: lines of `NAME TOKEN`. The files are read again when they change.",
  documented: "Meridian",
  reload: "restart"
})
