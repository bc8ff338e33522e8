/** What of Node's the process does not load, since every node pays for it. */
import { execFileSync } from "node:child_process"
import { expect, it } from "vitest"

const loadedWith = (module: string): readonly string[] => {
  const program = `await import(${JSON.stringify(import.meta.resolve(module))}); console.log(JSON.stringify(process.moduleLoadList))`
  const said = execFileSync(process.execPath, ["--input-type=module", "--eval", program], { encoding: "utf8" })
  return JSON.parse(said) as string[]
}

it("has HTTP without the client for web sockets that an import of node:http loads, which takes 5 MB", () => {
  const names = loadedWith("../src/http/open-http.ts")
  expect(names.filter((name) => name.includes("undici"))).toEqual([])
  expect(loadedWith("node:http").filter((name) => name.includes("undici"))).not.toEqual([])
})
