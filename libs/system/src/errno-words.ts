/** What the system's names of errors mean, for whoever reads a message. */
import { errnoName } from "./native.ts"

const WORDS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EADDRINUSE: "it is in use already",
  EADDRNOTAVAIL: "this machine has no such address",
  EAFNOSUPPORT: "this system has that address family switched off",
  ECONNREFUSED: "nobody listens there",
  EDQUOT: "the quota is used up",
  EEXIST: "it exists already",
  EFBIG: "it would be longer than a file may be here",
  EHOSTUNREACH: "that host cannot be reached",
  EINVAL: "the system takes no such value",
  EIO: "the device failed",
  EISDIR: "it is a directory",
  ELOOP: "links that lead to each other",
  EMFILE: "this process has too many open files",
  ENAMETOOLONG: "the name is too long",
  ENETUNREACH: "no route leads there",
  ENFILE: "this system has too many open files",
  ENODEV: "there is no such device",
  ENOENT: "it is not there",
  ENOMEM: "there is no memory left",
  ENOSPC: "no space is left",
  ENOTDIR: "a part of its path is no directory",
  ENOTEMPTY: "the directory is not empty",
  ENXIO: "there is no such device",
  EPERM: "not permitted",
  EROFS: "the file system is read-only",
  ETIMEDOUT: "no answer in time",
  ETXTBSY: "it is being run"
}

/** A name such as ENOENT in words; one that is not known here as it is. */
export const errnoWords = (name: string): string => WORDS[name] ?? name

/** Why something failed, in words. */
export const reasonOf = (error: unknown): string => errnoWords(errnoName(error))
