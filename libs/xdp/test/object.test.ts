/** The object that comes along: what clang makes of the source, and what becomes of a damaged one. */
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import fc from "fast-check"
import { afterAll, describe, expect, it } from "vitest"
import {
  CLIENT_BYTES,
  CLIENT_KEY_BYTES,
  COUNTS_BYTES,
  PLACE_IPV4_BYTES,
  PLACE_IPV6_BYTES,
  RULE_BYTES,
  SETTINGS_BYTES
} from "../src/answer-layout.ts"
import { BpfObjectError, readBpfObject } from "../src/bpf-object.ts"
import { frame } from "./frames.ts"
import { canLoadPrograms, ProgramStage, VERDICT } from "./program-stage.ts"
import { clangVersion, compileProgram } from "../build.mjs"

const shipped = fileURLToPath(new URL("../object/answer.bpf.o", import.meta.url))
const shippedVersion = readFileSync(new URL("../object/clang-version", import.meta.url), "utf8").trim()
const folder = mkdtempSync(join(tmpdir(), "meridian-xdp-object-"))
afterAll(() => rmSync(folder, { recursive: true }))
const canLoad = canLoadPrograms("objects of the BPF program")
const version = clangVersion()

describe("the object that comes along", () => {
  it("has the maps as the layout describes them", () => {
    const { maps, license } = readBpfObject(readFileSync(shipped))
    const sizes = Object.fromEntries(maps.map(({ name, keyBytes, valueBytes }) => [name, [keyBytes, valueBytes]]))
    expect(license).toBe("Apache-2.0")
    expect(sizes).toEqual({
      clock_map: [4, 4096],
      settings_map: [4, SETTINGS_BYTES],
      places_ipv4: [PLACE_IPV4_BYTES, 4],
      places_ipv6: [PLACE_IPV6_BYTES, 4],
      rules_even: [RULE_BYTES, 4],
      rules_odd: [RULE_BYTES, 4],
      counts_map: [4, COUNTS_BYTES],
      clients_map: [CLIENT_KEY_BYTES, CLIENT_BYTES]
    })
  })

  it.runIf(version !== undefined)("is what clang makes of the source", () => {
    const built = join(folder, "built.o")
    expect(compileProgram(built)).toBe(true)
    // Another version of clang chooses other instructions: then it must load and answer.
    const isSame = readFileSync(built).equals(readFileSync(shipped))
    expect(isSame || version !== shippedVersion).toBe(true)
    if (!canLoad) return
    const stage = new ProgramStage("native", 1_024, built)
    stage.write()
    const payload = Uint8Array.from({ length: 48 }, (_, at) => (at === 0 ? 0x23 : 0))
    expect(stage.run(frame({ family: 4, payload })).verdict).toBe(VERDICT.send)
    stage.close()
  })

  it.runIf(canLoad)("needs no capability but CAP_BPF and CAP_NET_ADMIN to be loaded", () => {
    const program = join(folder, "load.ts")
    const source = fileURLToPath(new URL("../src/xdp-answering.ts", import.meta.url))
    writeFileSync(
      program,
      `import { XdpAnswering } from ${JSON.stringify(source)}\nXdpAnswering.unattached(1024, "native", ${JSON.stringify(shipped)}).close()\n`
    )
    const load = (capabilities: string): string => {
      const args = [`--bounding-set=-all,${capabilities}`, process.execPath, program]
      const { NODE_OPTIONS: _options, ...environment } = process.env
      const { status, stderr } = spawnSync("setpriv", args, { encoding: "utf8", env: environment })
      return status === 0 ? "loaded" : stderr
    }
    expect(load("+bpf,+net_admin")).toBe("loaded")
    expect(load("+net_admin")).toContain("CAP_BPF and CAP_NET_ADMIN are needed")
  })
})

describe("a damaged object", () => {
  const whole = readFileSync(shipped)
  const read = (bytes: Uint8Array): string => {
    try {
      readBpfObject(bytes)
      return "read"
    } catch (error) {
      if (!(error instanceof BpfObjectError)) throw error
      return error.message
    }
  }

  it("is refused in words wherever it ends", () => {
    fc.assert(
      fc.property(fc.nat(whole.length - 1), (length) => {
        expect(read(whole.subarray(0, length))).toMatch(/^expected a BPF object .* build it again/)
      })
    )
  })

  it("is read or refused, never anything else", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
        (changes) => {
          const bytes = Uint8Array.from(whole)
          for (const [at, value] of changes) bytes[at] = value
          expect(read(bytes)).toMatch(/^read$|^expected a BPF object/)
        }
      ),
      { numRuns: 500 }
    )
    expect(read(new Uint8Array())).toContain("found 0 bytes")
    expect(read(readFileSync(process.execPath).subarray(0, 4096))).toContain("expected a BPF object")
  })
})
