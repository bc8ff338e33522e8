/**
 * Effect as our own modules use it: everything that none of them names is left out of its modules, and comments are. A process that
 * loads `effect/Effect` would else carry the whole library, nine tenths of it for nobody.
 */
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { basename, join } from "node:path"
import { rolldown } from "rolldown"

const LIBRARY = "effect"

/** The names that our modules take from each of the library's modules: `gen` of `Effect`, as `Effect.gen` is written. */
export const namesUsed = (root: string): ReadonlyMap<string, ReadonlySet<string>> => {
  const used = new Map<string, Set<string>>()
  for (const file of globSync("{libs,services}/*/src/**/*.ts", { cwd: root })) {
    const text = readFileSync(join(root, file), "utf8")
    const imports = [...text.matchAll(/^import (?:(.+?) from )?"effect(?:\/([\w/]+))?"$/gm)]
    const mentions = text.match(/["']effect(?:\/[\w/]+)?["']/g)?.length ?? 0
    if (mentions !== imports.length)
      throw new Error(`${file} takes from ${LIBRARY} in another way than by an import line of its own`)
    for (const [line, what = "", module] of imports) {
      if (what.startsWith("type ")) continue
      const alias = /^\* as (\w+)$/.exec(what)?.[1]
      if (module === undefined || (what !== "" && alias === undefined))
        throw new Error(`${file}: expected \`import * as NAME from "${LIBRARY}/NAME"\`, found ${line}`)
      const names = used.get(module) ?? new Set<string>()
      used.set(module, names)
      // Imported for what it does alone.
      if (alias === undefined) continue
      for (const [, name = ""] of text.matchAll(new RegExp(String.raw`\b${alias}\.(\w+)`, "g"))) names.add(name)
    }
  }
  return used
}

/** Writes that part of the library over the one that was laid out. @param tree the laid-out program */
export const keepUsedOfEffect = async (root: string, tree: string): Promise<void> => {
  const place = join(tree, "node_modules", LIBRARY)
  const source = join(root, "node_modules", LIBRARY, "dist")
  const entries = join(tree, ".effect-entries")
  mkdirSync(entries)
  const input: Record<string, string> = {}
  for (const [module, names] of namesUsed(root)) {
    const path = join(source, `${module}.js`)
    const there = (await import(path)) as Record<string, unknown>
    const own = [...names].filter((name) => name in there).sort()
    const entry = join(entries, `${basename(module)}.js`)
    const from = JSON.stringify(path)
    writeFileSync(entry, names.size === 0 ? `import ${from}\n` : `export { ${own.join(", ")} } from ${from}\n`)
    input[module] = entry
  }
  const bundle = await rolldown({ input, platform: "node", logLevel: "silent", external: /^node:/ })
  rmSync(join(place, "dist"), { recursive: true })
  await bundle.write({
    dir: join(place, "dist"),
    entryFileNames: "[name].js",
    chunkFileNames: "shared/[name].js",
    comments: false,
    minify: { mangle: false, compress: false, codegen: { removeWhitespace: true } }
  })
  await bundle.close()
  rmSync(entries, { recursive: true })
}
