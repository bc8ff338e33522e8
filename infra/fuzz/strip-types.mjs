/**
 * Loaded before the fuzzer: hands it TypeScript as the JavaScript that it is, since it counts coverage in JavaScript alone.
 * It has to be a loader of the older kind (module.register), as the fuzzer's own is, so that the fuzzer's comes after it.
 */
import { register, stripTypeScriptTypes } from "node:module"

const isLoaderThread = import.meta.url.endsWith("?loader")
if (!isLoaderThread) register(`${import.meta.url}?loader`)

export const load = async (url, context, next) => {
  const loaded = await next(url, context)
  if (loaded.format !== "module-typescript") return loaded
  const text = typeof loaded.source === "string" ? loaded.source : Buffer.from(loaded.source).toString("utf8")
  return { ...loaded, format: "module", source: stripTypeScriptTypes(text) }
}
