/**
 * What a package runs: each program as one file, with all that it imports, of ours and of others, and nothing that it does not. A module of its own costs
 * half a millisecond of each start. Names and lines stay as they are written, so
 * that a stack trace says where; comments and types are left out.
 */
import { globSync, writeFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { type Plugin, rolldown } from "rolldown"

/** Programs, and what Node is told to load before them; relative to the root. */
export const programs = (root: string): readonly string[] =>
  globSync(
    [
      "services/*/src/**/{main,*-main}.ts",
      "services/cli/src/{ntp-keygen,ntpkeygen}.ts",
      "libs/ipc/src/heartbeat.ts",
      ...SHARED
    ],
    { cwd: root }
  ).sort()

/** One instance in a process, of which its program and what is loaded before that both make use. */
const SHARED = ["libs/ipc/src/turns.ts", "services/supervisor/src/early-signals.ts"]

const bundled = (file: string): string => file.replace(/\.ts$/, ".js")

/** The way from a file's folder up to the root. */
const upFrom = (file: string): string => "../".repeat(file.split("/").length - 1)

/** Has every module find its files from where its program is: where it was itself is said relative to that. */
const placed = (root: string, program: string): Plugin => {
  const up = upFrom(program)
  return {
    name: "placed",
    async resolveId(specifier, importer, options) {
      if (importer === undefined || SHARED.includes(program)) return null
      const found = await this.resolve(specifier, importer, options)
      const target = found === null ? "" : relative(root, found.id)
      return SHARED.includes(target) ? { id: up + bundled(target), external: true } : found
    },
    async transform(code, id) {
      const own = relative(root, id)
      if (own === program || !/^(?:libs|services)\//.test(own) || !code.includes("import.meta")) return null
      let text = code
        .replaceAll("import.meta.dirname", `(import.meta.dirname + ${JSON.stringify(`/${up}${dirname(own)}`)})`)
        .replaceAll(/import\.meta\.url\b/g, `new URL(${JSON.stringify(up + own)}, import.meta.url).href`)
      for (const [call, specifier = ""] of text.matchAll(/import\.meta\.resolve\("([^"]+)"\)/g)) {
        const target = relative(root, (await this.resolve(specifier, id))?.id ?? "")
        if (!programs(root).includes(target)) throw new Error(`${own}: ${call} is none of the programs`)
        text = text.replace(call, `new URL(${JSON.stringify(up + bundled(target))}, import.meta.url).href`)
      }
      return text
    }
  }
}

const bundle = async (root: string, tree: string, program: string): Promise<void> => {
  const made = await rolldown({
    input: join(root, program),
    cwd: root,
    platform: "node",
    external: /^node:/,
    makeAbsoluteExternalsRelative: false,
    plugins: [placed(root, program)],
    logLevel: "warn"
  })
  const name = bundled(program)
  await made.write({
    dir: tree,
    entryFileNames: name,
    // Without a digest: a process of the version before finds under it what it loads late.
    chunkFileNames: name.replace(/\.js$/, "-[name].js"),
    comments: false
  })
  await made.close()
  // By this name everything is started, in a checkout as in a package.
  writeFileSync(join(tree, program), `export * from "./${name.slice(name.lastIndexOf("/") + 1)}"\n`)
}

/** Writes the programs into a tree. @param tree what was laid out with {@link layOut} */
export const bundlePrograms = async (root: string, tree: string): Promise<void> => {
  for (const program of programs(root)) await bundle(root, tree, program)
}
