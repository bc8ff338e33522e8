/** The addon that is exercised, in whichever thread, and arguments that no function takes. */
import { isMainThread, workerData } from "node:worker_threads"
import { loadNativeFrom, type NativeAddon } from "../src/native.ts"

export const path = isMainThread ? process.argv[2]! : (workerData as string)
const { addon: loaded, reason } = loadNativeFrom(path)
if (loaded === undefined) throw new Error(reason)
export const addon: NativeAddon = loaded

export const wrong = [
  undefined,
  null,
  -1,
  1e9,
  "x",
  {},
  [],
  new Uint8Array(1),
  new Float64Array(1),
  () => 1,
  Symbol("x"),
  1n
]
