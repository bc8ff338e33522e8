/** The page's files, read once: they are few and small, and lie in this package. */
import { fileURLToPath } from "node:url"
import { readRegularFile } from "@meridian/system/regular-file"

interface PageFile {
  readonly type: string
  readonly bytes: Buffer
}

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8"
}

/** By the path they are asked for; nothing else of any folder can be reached. */
const places: Readonly<Record<string, string>> = {
  "/": "index.html",
  "/page.css": "page.css",
  "/acts.js": "acts.js",
  "/event-log.js": "event-log.js",
  "/history-view.js": "history-view.js",
  "/keys-view.js": "keys-view.js",
  "/node-api.js": "node-api.js",
  "/page.js": "page.js",
  "/plots.js": "plots.js",
  "/rows.js": "rows.js"
}

const LONGEST_FILE = 16 * 1024 * 1024

const held = new Map<string, PageFile>()

/** Undefined where there is no such file. */
export const pageFile = (path: string): PageFile | undefined => {
  const known = held.get(path)
  if (known !== undefined) return known
  const name = Object.hasOwn(places, path) ? places[path] : undefined
  if (name === undefined) return undefined
  const type = TYPES[name.slice(name.lastIndexOf(".") + 1)] ?? "application/octet-stream"
  const file = {
    type,
    bytes: readRegularFile(fileURLToPath(new URL(`../page/${name}`, import.meta.url)), LONGEST_FILE)
  }
  held.set(path, file)
  return file
}
