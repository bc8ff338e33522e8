/**
 * Every command line that a help text shows is one that is accepted: those of the overview, those that are quoted in a meaning or in a
 * starter's comment, and each flag as it is written. They run, over a state directory without a node, as far as that is no server's.
 */
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { rootCertificates } from "node:tls"
import { renderHelp } from "@meridian/config/flags"
import { renderReferenceText } from "@meridian/config/reference"
import { parseFlags } from "@meridian/system/command-line"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { readKeygenOptions, NTP_KEYGEN_USAGE } from "../src/ntp-keygen-options.ts"
import { runMeridian } from "../src/commands.ts"
import { overview, topics } from "../src/help.ts"

/** What runs until it is ended, asks a person, or is a server: of these only the command line is read. */
const READ_ALONE = /^(?:up|signd|exabgp)\b|^top(?!.*--once)|^init( --out \S+)?$|^waitsync(?! \d| .* \d+$)/

let folder = ""
let output = ""
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "meridian-help-"))
  writeFileSync(join(folder, "there"), "local stratum 10\n")
  writeFileSync(join(folder, "ca.pem"), rootCertificates[0]!)
  output = ""
  for (const stream of [process.stdout, process.stderr])
    vi.spyOn(stream, "write").mockImplementation((part) => ((output += String(part)), true))
})
afterEach(() => {
  vi.restoreAllMocks()
  rmSync(folder, { recursive: true })
})

/** What may stand for a word in capitals, by the flag before it where that makes a difference. Nobody answers at port 1. */
const samples = (): Readonly<Record<string, string>> => ({
  "--aead NAME": "AES_SIV_CMAC_256",
  "--ca PATH": join(folder, "ca.pem"),
  "--node NAME": "a",
  "--out FILE": join(folder, "new"),
  "--user NAME": "root",
  "reference NAME": "server",
  "signd FLAGS": "--group root",
  ADDRESS: "127.0.0.1",
  COMMAND: "status",
  DIR: folder,
  FILE: join(folder, "there"),
  FLAGS: `--state ${folder}`,
  GENERATION: "1",
  GROUP: "root",
  HOST: "127.0.0.9",
  ID: "a.1",
  LIMIT: "offset",
  MICROSECONDS: "100",
  N: "1",
  NAME: "ntsRotationMs",
  NODE: "a",
  PATH: join(folder, "there"),
  PORT: "1",
  PURPOSE: "client",
  S: "keys.nts",
  SECONDS: "1",
  SOCKET: join(folder, "socket"),
  TEXT: "lost",
  TIME: "2026-11-21T12:00:00Z",
  TIMEOUT: "0",
  VALUE: "1",
  "waitsync SECONDS": "0"
})

/** A pattern's forms: without and with what stands in brackets, and each of what `|` divides. */
const formsOf = (pattern: string): readonly string[] => {
  const bracket = /\[([^[\]]*)\]/.exec(pattern)
  if (bracket !== null) {
    const [all, inner = ""] = bracket
    return ["", inner].flatMap((part) => formsOf(pattern.replace(all, () => part)))
  }
  const choice = /\S+\|\S+/.exec(pattern)
  if (choice !== null) return choice[0].split("|").flatMap((part) => formsOf(pattern.replace(choice[0], () => part)))
  return [pattern.replaceAll(/,?\.\.\.| \.\.\./g, "").trim()]
}

const filled = (form: string): string =>
  form.replaceAll(
    /((?:--)?[a-z-]+ )?(?<![\w.-])([A-Z]+)(?![\w-])/g,
    (_all, before: string | undefined, word: string) => {
      const known = samples()
      const sample = known[`${before ?? ""}${word}`] ?? known[word]
      if (sample === undefined) throw new Error(`${form}: no sample of ${word}`)
      return `${before ?? ""}${sample}`
    }
  )

/** A topic and what stands behind it. */
const divided = (line: string): readonly [topic: string, args: readonly string[]] => {
  const words = line.split(" ")
  const two = words.slice(0, 2).join(" ")
  return two in topics ? [two, words.slice(2)] : [words[0]!, words.slice(1)]
}

/** Runs a command line without its first word, or reads it where it cannot be run. @returns what is wrong with it */
const problemOf = async (line: string): Promise<string | undefined> => {
  const [topic, args] = divided(line)
  const commandLine = topics[topic]
  if (commandLine === undefined) return `${line}: there is no command ${topic}`
  if (READ_ALONE.test(line)) {
    const read = parseFlags(commandLine, args)
    return read.ok ? undefined : `${line}: ${read.error.message}`
  }
  const isAsked = "state" in commandLine.flags && topic !== "query" && !args.includes("--state")
  const code = await runMeridian([...line.split(" "), ...(isAsked ? ["--state", folder] : [])])
  return code === 2 ? `${line}: ${output}` : undefined
}

const problemsOf = async (patterns: readonly string[]): Promise<readonly string[]> => {
  const problems: string[] = []
  for (const line of new Set(patterns.flatMap(formsOf).map(filled))) {
    rmSync(join(folder, "new"), { force: true })
    rmSync(join(folder, "cluster-key"), { force: true })
    const problem = await problemOf(line)
    if (problem !== undefined) problems.push(problem)
  }
  return problems
}

const quotedIn = (text: string): readonly string[] =>
  [...text.replaceAll(/\n#? +/g, " ").matchAll(/`meridian ([^`]+)`/g)].map(([, line = ""]) => line)

/** `such as keys.nts or clock.a`: single words, since more than one are prose. */
const valuesNamedIn = (meaning: string): readonly string[] =>
  (/\bsuch as (\S+(?: or \S+)?)(?=[,.;](?: |$))/.exec(meaning)?.[1] ?? "").split(" or ").filter((word) => word !== "")

describe("the overview", () => {
  const lines = (): readonly string[] => {
    overview([])
    return [...output.matchAll(/^ {2}meridian (.+?)(?: {2,}.*)$/gm)].map(([, line = ""]) => line)
  }

  it("shows command lines that are accepted", async () => {
    const shown = lines()
    expect(shown).toHaveLength(new Set(Object.keys(topics).map((topic) => topic.split(" ")[0])).size + 3)
    output = ""
    expect(await problemsOf(shown)).toEqual([])
  })

  it.each(Object.keys(topics).filter((topic) => /^(?:keys|cluster) /.test(topic)))("names %s", (topic) => {
    const [first = "", verb = ""] = topic.split(" ")
    overview([])
    const line = output.split("\n").find((each) => each.includes(` ${first} `))
    expect(line?.replace("(un)drain", "drain undrain")).toContain(verb)
  })
})

describe.each(Object.entries(topics))("the help of %s", (topic, commandLine) => {
  const { flags, positional } = commandLine
  // Only a query by NTS takes what is about NTS.
  const aboutNts = (meaning: string): string => (meaning.startsWith("With --nts") ? " --nts" : "")
  const host = topic === "query" ? "127.0.0.9:1" : positional.name
  const operand = positional.least > 0 || topic === "waitsync" || topic === "init" ? ` ${host}` : ""
  const once = topic === "top" ? " --once" : ""

  it("is shown when it is asked for", async () => {
    const isProgram = ["up", "signd", "exabgp"].includes(topic)
    expect(await runMeridian(isProgram ? ["help", topic] : [...topic.split(" "), "--help"])).toBe(0)
    expect(output).toBe(renderHelp(commandLine))
  })

  it("shows a usage that is accepted", async () => {
    const usage = /^Usage: meridian (.+)/.exec(renderHelp(commandLine))?.[1] ?? ""
    expect(usage).toContain(topic)
    expect(await problemsOf([usage.replace(" [FLAGS]", "")])).toEqual([])
  })

  it("writes each flag as it is accepted", async () => {
    const written = Object.entries(flags).map(([name, flag]) => {
      const value = flag.kind === "switch" ? "" : ` ${flag.type.syntax}`
      return `${topic}${name === "once" ? "" : once}${aboutNts(flag.meaning)} --${name}${value}${operand}`
    })
    expect(await problemsOf(written)).toEqual([])
  })

  it("gives values that are accepted", async () => {
    const given = Object.entries(flags).flatMap(([name, { meaning }]) =>
      valuesNamedIn(meaning).map((value) => `${topic} --${name} ${value}${operand}`)
    )
    expect(await problemsOf(given)).toEqual([])
  })

  it("quotes command lines that are accepted", async () => {
    const texts = [commandLine.meaning, positional.meaning, ...Object.values(flags).map(({ meaning }) => meaning)]
    expect(await problemsOf(texts.flatMap(quotedIn))).toEqual([])
  })
})

it("limits of --check are all named in help, and taken", async () => {
  const { check } = topics["query"]!.flags
  const names = ["offset", "root-distance", "stratum", "certificate-days"]
  for (const name of names) expect(check?.meaning).toContain(name)
  expect(await problemsOf([`query --nts --check ${names.map((name) => `${name}=1`).join(",")} 127.0.0.9:1`])).toEqual(
    []
  )
})

it("values that meanings name are found", () => {
  expect(valuesNamedIn(topics["explain"]!.flags["at"]!.meaning)).toEqual(["2026-11-21T12:00:00Z"])
  expect(valuesNamedIn(topics["log"]!.flags["subject"]!.meaning)).toEqual(["keys.nts", "clock.a"])
  expect(valuesNamedIn(topics["policy"]!.positional.meaning)).toEqual(["12h"])
})

it("a setting of the policy takes a time as its help gives one", async () => {
  expect(await problemsOf(["policy ntsRotationMs=12h"])).toEqual([])
})

it("the reference of directives quotes command lines that are accepted", async () => {
  expect(await problemsOf(quotedIn(renderReferenceText()!))).toEqual([])
})

describe("what `meridian init` writes", () => {
  const starters = resolve(import.meta.dirname, "../../../infra/packaging/{starters/*,ntp}.conf")
  it("names command lines that are accepted", async () => {
    const text = globSync(starters)
      .map((file) => readFileSync(file, "utf8"))
      .join("\n")
    const listed = [...text.matchAll(/^#(?:.*:)?\s+meridian ([a-z].+?)(?: {2,}.*)?$/gm)].map(([, line = ""]) => line)
    const lines = [...quotedIn(text), ...listed]
    expect(lines).toEqual(expect.arrayContaining(["cluster init", "config check FILE", "init --list"]))
    expect(await problemsOf(lines)).toEqual([])
  })
})

describe("the help of ntp-keygen", () => {
  const options = [
    ...NTP_KEYGEN_USAGE.matchAll(/(?:^| {2})(?:-([A-Za-z]), | {4})--([a-z0-9-]+)(?: ([A-Z]+)(?:\[@GROUP\])?)?/gm)
  ]
  const values: Readonly<Record<string, string>> = {
    BITS: "512",
    CIPHER: "aes-256-cbc",
    DAYS: "365",
    GROUP: "g",
    HOST: "h@g",
    N: "2",
    PW: "secret",
    RSA: "RSA",
    SCHEME: "RSA-SHA256"
  }
  it("is of all options", () => expect(options).toHaveLength(20))
  it.each(options.map(([, short, long = "", value]) => [long, short, value] as const))(
    "--%s is read",
    (long, short, value) => {
      const behind = value === undefined ? [] : [values[value] ?? `no sample of ${value}`]
      const read = readKeygenOptions([`--${long}`, ...behind])
      expect(short === undefined ? read : readKeygenOptions([`-${short}`, ...behind])).toEqual(read)
    }
  )
  it.each(["certificate", "cipher"])("--%s takes each word that is listed", (long) => {
    const [, list = ""] = new RegExp(`--${long} [A-Z]+ +([^(\\n]+)`).exec(NTP_KEYGEN_USAGE) ?? []
    const words = list.trim().replace(/\.$/, "").split(", ")
    expect(words.length).toBeGreaterThan(3)
    for (const word of words) expect(() => readKeygenOptions([`--${long}`, word])).not.toThrow()
  })
})
