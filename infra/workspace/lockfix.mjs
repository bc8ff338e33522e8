// Completes package-lock.json with the optional platform packages that this machine's registry does not carry.
// npm writes a lockfile without them and `npm ci` then rejects that very file ("Missing: … from lock file").
// Run after every change of dependencies; the entries are what npm itself would write, without an integrity.
import { readFileSync, writeFileSync } from "node:fs"

const lock = JSON.parse(readFileSync("package-lock.json", "utf8"))
const packages = lock.packages
const optionalOf = Object.values(packages).flatMap((entry) => Object.entries(entry.optionalDependencies ?? {}))
let added = 0
for (const [name, version] of optionalOf) {
  const path = `node_modules/${name}`
  if (packages[path] !== undefined || !/^[0-9]/.test(version)) continue
  const words = name.split(/[/-]/)
  const os = ["linux", "darwin", "win32", "freebsd", "android", "openharmony", "aix", "sunos"].find((word) =>
    words.includes(word)
  )
  const cpu = ["x64", "arm64", "arm", "ia32", "riscv64", "s390x", "ppc64", "loong64"].find((word) =>
    words.includes(word)
  )
  const libc = words.includes("musl") ? ["musl"] : words.includes("gnu") ? ["glibc"] : undefined
  packages[path] = {
    version,
    ...(cpu && { cpu: [cpu] }),
    ...(libc && { libc }),
    ...(os && { os: [os] }),
    optional: true
  }
  added += 1
}
lock.packages = Object.fromEntries(Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : 1)))
writeFileSync("package-lock.json", `${JSON.stringify(lock, null, 2)}\n`)
console.log(`lockfix: ${added} platform packages added`)
