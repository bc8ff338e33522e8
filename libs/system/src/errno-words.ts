/** What the system's names of errors mean and what to do about them, for whoever reads a message. Names stay out of messages. */
import { errnoName } from "./native.ts"

const WORDS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EADDRINUSE: "it is in use already",
  EADDRNOTAVAIL: "this machine has no such address",
  EAFNOSUPPORT: "this system has that address family switched off",
  EAGAIN: "the system has none to spare at the moment",
  EBADF: "it was closed, or is not of the kind expected",
  EBUSY: "somebody else holds it",
  ECONNREFUSED: "nobody listens there",
  ECONNRESET: "the other side broke off",
  EDQUOT: "the quota is used up",
  EEXIST: "it exists already",
  EFBIG: "it would be longer than a file may be here",
  EHOSTUNREACH: "that host cannot be reached",
  EINVAL: "the system takes no such value",
  EIO: "the device failed",
  EISDIR: "it is a directory",
  ELOOP: "links that lead to each other",
  EMFILE: "this process has too many open files",
  EMSGSIZE: "it is too long",
  ENAMETOOLONG: "the name is too long",
  ENETUNREACH: "no route leads there",
  ENFILE: "this system has too many open files",
  ENODEV: "there is no such device",
  ENOENT: "it is not there",
  ENOMEM: "there is no memory left",
  ENOSPC: "no space is left",
  ENOSYS: "this system cannot do that",
  ENOTDIR: "a part of its path is no directory",
  ENOTEMPTY: "the directory is not empty",
  ENOTSOCK: "it is no socket",
  ENOTSUP: "this system cannot do that",
  ENOTTY: "it is no such device",
  ENXIO: "there is no such device",
  EOPNOTSUPP: "this system cannot do that",
  EPERM: "not permitted",
  EPIPE: "the other side has gone",
  EPROTOTYPE: "it is a socket of another kind",
  ERR_FS_EISDIR: "it is a directory",
  ERR_OUT_OF_RANGE: "it is larger than can be read",
  EROFS: "the file system is read-only",
  ETIMEDOUT: "no answer in time",
  ETXTBSY: "it is being run"
}

const ADDRESS_GONE = "this machine has no such address; choose one that `ip address` lists"
const NO_ROUTE = "no route leads there; see `ip route`"
const TOO_MANY_FILES = "the process has too many open files; raise its limit (ulimit -n)"
const NET_ADMIN = "only root, or who has CAP_NET_ADMIN, may do that"
const OTHER_PROGRAM = "another program is attached there; `ip link show` names it"
const DRIVER_CANNOT = "its driver cannot do that; try `generic`"

/** By what was tried: what to do, where that is more than the words say. */
const ADVICE = {
  /** A port to be listened on. */
  port: {
    EADDRINUSE: "the port is in use by another program; stop that (`ss -lnp` names it), or choose another port",
    EADDRNOTAVAIL: ADDRESS_GONE,
    EACCES: "ports below 1024 need root or CAP_NET_BIND_SERVICE; choose a port from 1024 up (--port N) or run as root",
    EAFNOSUPPORT: "this system has that address family switched off; listen on the other one",
    EINVAL: "give a numeric IPv4 or IPv6 address and a port from 0 to 65535",
    ENODEV: "there is no such network interface; choose one that `ip link` lists",
    EMFILE: TOO_MANY_FILES,
    ENOSYS: "the native addon is missing, so no descriptor can be handed over; run `node libs/system/build.mjs`"
  },
  /** A socket that asks. */
  asking: {
    EINVAL: "give numeric addresses of one family and ports from 0 to 65535",
    EBADF: "the socket was closed; open another",
    EADDRINUSE: "the port is in use by another program; let the system choose one",
    EADDRNOTAVAIL: ADDRESS_GONE,
    EACCES: "ports below 1024 need root or CAP_NET_BIND_SERVICE, and broadcast addresses cannot be asked",
    ENETUNREACH: NO_ROUTE,
    EHOSTUNREACH: NO_ROUTE,
    ECONNREFUSED: "nothing listens there; check the address and the port",
    EISCONN: "the socket is connected to one address; open another for another",
    EDESTADDRREQ: "the socket is not connected; say where to send",
    EMSGSIZE: "the datagram is too long for the path",
    EMFILE: TOO_MANY_FILES
  },
  clock: {
    ENOENT: "there is no such device",
    EACCES: "this user may not use it; a udev rule can give it to the group",
    ENOTTY: "it is no such device",
    EOPNOTSUPP: "it cannot do this",
    ENOTSUP: "it cannot do this",
    EPERM: "the kernel does not stamp this edge, and only root may change that"
  },
  /** A socket that a reference clock's program sends to. */
  "clock-socket": {
    EACCES: "this user may not make files there; name a path in a folder of its own",
    EROFS: "files cannot be made there; name a path in a folder of its own",
    ENOENT: "its folder does not exist",
    ENAMETOOLONG: "its path is too long, expected 1 to 107 bytes"
  },
  /** A network device and its addresses. */
  interface: {
    EPERM: NET_ADMIN,
    EACCES: NET_ADMIN,
    ENOENT: "this system offers no /dev/net/tun",
    EBUSY: "somebody else holds it; no two nodes may have one device",
    EINVAL: "a device of that name is there and is no TUN"
  },
  /** A program in a network driver. */
  xdp: {
    EPERM: "CAP_BPF and CAP_NET_ADMIN are needed at the start",
    EBUSY: OTHER_PROGRAM,
    EEXIST: OTHER_PROGRAM,
    // One number has two names: Node's is the second.
    EOPNOTSUPP: DRIVER_CANNOT,
    ENOTSUP: DRIVER_CANNOT,
    ENOTSUPP: DRIVER_CANNOT,
    ENODEV: "there is no interface of this name",
    ENOSYS: "the addon is needed",
    EINVAL: "this kernel does not know it; Linux 6.1 or newer is needed"
  },
  /** A process to be started. */
  process: {
    ENOMEM: "the system has no memory for it",
    EAGAIN: "the system has no process to spare: see the limit on tasks of the unit or the user",
    EMFILE: "this process has no descriptor left: raise its limit on open files",
    ENFILE: "the system has no open file to spare"
  },
  "system-clock": { EPERM: "this process may not set the clock: it needs the capability CAP_SYS_TIME" }
} as const satisfies Readonly<Record<string, Readonly<Record<string, string>>>>

type Tried = keyof typeof ADVICE

/** A name such as ENOENT in words; one that is not known here as it is. */
export const errnoWords = (name: string): string => WORDS[name] ?? name

/** What to do about a name, for what was tried; else what it means. */
export const errnoAdvice = (tried: Tried, name: string): string => {
  const advice: Readonly<Record<string, string>> = ADVICE[tried]
  return advice[name] ?? errnoWords(name)
}

/** Why something failed, in words; an error that is none of the system's as it says itself. The caller names the file. */
export const reasonOf = (error: unknown): string => {
  if (error instanceof Error && "why" in error && typeof error.why === "string") return error.why
  const name = errnoName(error)
  if (name !== "UNKNOWN") return errnoWords(name)
  return error instanceof Error ? error.message : String(error)
}
