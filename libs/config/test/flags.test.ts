import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { policyCommand } from "@meridian/config/cluster-command-lines"
import { configCheckCommand, queryCommand, statusCommand, upCommand, upOverrides } from "@meridian/config/command-lines"
import { DIRECTIVES } from "../src/directives.ts"
import { type CommandLine, type Flag, renderHelp } from "@meridian/config/flags"
import { parseFlags, UsageError } from "@meridian/system/command-line"

const words = (line: string): string[] => line.split(" ").filter((word) => word !== "")

const overridesOf = (line: string) => {
  const result = parseFlags(upCommand, words(line))
  if (!result.ok) throw result.error
  return upOverrides(result.value.values)
}

const refusal = (command: CommandLine, line: string): string => {
  const result = parseFlags(command, words(line))
  if (result.ok) throw new Error(`accepted: ${line}`)
  expect(result.error).toBeInstanceOf(UsageError)
  expect(result.error._tag).toBe("UsageError")
  expect(result.error.message).not.toContain("\n")
  return result.error.message
}

describe("meridian up", () => {
  it("takes --flag value and --flag=value", () => {
    const expected = { port: 123, workers: 2, stateDirectory: "/s", user: "ntp", stratum: 5 }
    expect(overridesOf("--port 123 --workers 2 --state /s --user ntp --stratum 5")).toMatchObject(expected)
    expect(overridesOf("--port=123 --workers=2 --state=/s --user=ntp --stratum=5")).toMatchObject(expected)
  })

  it("takes --listen several times, counts a repeated address once and sets nothing that was not given", () => {
    const { listen, ...rest } = overridesOf("--listen 127.0.0.1 --listen=::1 --listen 0::1 --listen *")
    expect(listen?.map(({ text }) => text)).toEqual(["127.0.0.1", "::1", "0.0.0.0", "::"])
    expect(Object.values(rest).every((value) => value === undefined)).toBe(true)
    expect(overridesOf("").listen).toBeUndefined()
  })

  it("has every flag that a directive names, and each says what its directive says", () => {
    const named = DIRECTIVES.flatMap(({ flags }) => flags)
    expect(new Set([...named, "config"])).toEqual(new Set(Object.keys(upCommand.flags)))
    // These set one value of a directive that has several, so they speak for themselves.
    const ofTheirOwn = new Set([
      "panicgate",
      "stratum",
      "nts",
      "no-nts",
      "nts-port",
      "nts-processes",
      "nats",
      "cluster-key",
      "rotate",
      "drain"
    ])
    for (const directive of DIRECTIVES) {
      for (const name of directive.flags.filter((one) => !ofTheirOwn.has(one))) {
        const flag: Flag = upCommand.flags[name as keyof typeof upCommand.flags]
        expect(flag.meaning).toContain(directive.meaning)
        expect(flag.kind === "switch" ? undefined : flag.type).toBe(Object.values(directive.operands)[0]?.type)
      }
    }
  })

  it("switches NTS on, off, or leaves it to the file", () => {
    expect(["", "--nts", "--no-nts", "--nts --no-nts"].map((line) => overridesOf(line).nts)).toEqual([
      undefined,
      true,
      false,
      false
    ])
    expect(overridesOf("--nts-port 4461").ntsPort).toBe(4461)
    expect(overridesOf("--nts-processes 4").ntsProcesses).toBe(4)
  })

  it.each([
    ["--prot 1", "found '--prot', expected a flag of 'meridian up'; did you mean '--port'?"],
    ["-port 1", "found '-port', expected a flag of 'meridian up'; did you mean '--port'?"],
    ["--frobnicate", "found '--frobnicate', expected a flag of 'meridian up'; 'meridian up --help' lists them"],
    ["--constructor", "found '--constructor', expected a flag of 'meridian up'; 'meridian up --help' lists them"],
    ["--port", "--port needs a value, expected a whole number from 1 to 65535: --port PORT"],
    ["--port --workers 2", "--port needs a value, expected a whole number from 1 to 65535: --port PORT"],
    ["--port=", "--port: found '', expected a whole number from 1 to 65535"],
    ["--port -5", "--port: found '-5', expected a whole number from 1 to 65535"],
    ["--port 99999", "--port: found '99999', expected a whole number from 1 to 65535"],
    ["--port 1 --port 2", "--port is given twice, expected it once"],
    [
      "--listen 1.2.3.4:5",
      "--listen: found '1.2.3.4:5', expected an IPv4 or IPv6 address, or *; the port is set by 'port', for all addresses"
    ],
    [
      "--state a\u00A0b",
      "--state: found 'a\u00A0b', expected a directory's path; a path in a configuration may hold neither quotes nor characters that cannot be seen"
    ],
    ["--state", "--state needs a value, expected a directory's path: --state DIR"],
    ["--stratum 16", "--stratum: found '16', expected a whole number from 1 to 15"],
    ["up", "found 'up', expected flags only; 'meridian up --help' shows how"],
    ["-- --port", "found '--port', expected flags only; 'meridian up --help' shows how"]
  ])("refuses %s", (line, message) => {
    expect(refusal(upCommand, line)).toBe(message)
  })
})

describe("the other commands", () => {
  it("read operands and switches in any order", () => {
    expect(parseFlags(queryCommand, words("--count 3 ntp.example:123 --json --version=3"))).toMatchObject({
      ok: true,
      value: { values: { count: 3, version: 3, json: true }, positionals: ["ntp.example:123"], help: false }
    })
    expect(parseFlags(statusCommand, [])).toMatchObject({
      ok: true,
      value: { values: { json: false, state: undefined } }
    })
    expect(parseFlags(configCheckCommand, ["--", "-odd.conf"])).toMatchObject({
      ok: true,
      value: { positionals: ["-odd.conf"] }
    })
  })

  it.each([
    [queryCommand, "", "HOST[:PORT] is missing, expected: meridian query HOST[:PORT]"],
    [queryCommand, "a b", "found 'b', expected at most 1 HOST[:PORT]; 'meridian query --help' shows how"],
    [queryCommand, "a --version 5", "--version: found '5', expected a whole number from 3 to 4"],
    [statusCommand, "--json=yes", "--json takes no value; found 'yes'"],
    [statusCommand, "--jsn", "found '--jsn', expected a flag of 'meridian status'; did you mean '--json'?"]
  ] as const)("refuse %#: %s", (command, line, message) => {
    expect(refusal(command, line)).toBe(message)
  })
})

describe("help", () => {
  it.each([["--help"], ["-h"], ["--port x --help"]])("%s wins over all else", (line) => {
    expect(parseFlags(upCommand, words(line))).toMatchObject({ ok: true, value: { help: true } })
  })

  it("is not asked for behind --", () => {
    expect(parseFlags(configCheckCommand, ["--", "--help"])).toMatchObject({ ok: true, value: { help: false } })
  })

  it("lists every flag in the 80 columns of a terminal", () => {
    for (const command of [upCommand, statusCommand, queryCommand, configCheckCommand]) {
      const help = renderHelp(command)
      for (const name of Object.keys(command.flags)) expect(help).toContain(`  --${name}`)
      expect(Math.max(...help.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80)
      expect(help.endsWith("\n")).toBe(true)
    }
    expect(renderHelp(configCheckCommand)).toBe(
      [
        "Usage: meridian config check [FLAGS] FILE",
        "",
        "Reads a configuration file, reports what is wrong with it and with the files",
        "that it names, and shows every setting with its origin. Exit codes: 0 all is",
        "well, 2 the file cannot be used, 3 it can be used, but not all files that it",
        "names.",
        "",
        "  FILE                 Configuration file to check.",
        "  --user NAME[:GROUP]  User that the node will run as, as --user of `meridian",
        "                       up`.",
        "  --json               Prints JSON.",
        "  -h, --help           Shows this.",
        ""
      ].join("\n")
    )
  })

  it("shows how many operands a command takes", () => {
    expect(renderHelp(queryCommand)).toMatch(/^Usage: meridian query \[FLAGS\] HOST\[:PORT\]\n/)
    expect(renderHelp(policyCommand)).toMatch(/^Usage: meridian policy \[FLAGS\] \[NAME=VALUE \.\.\.\]\n/)
  })
})

describe("any arguments at all", () => {
  it("give values or one line, and never throw", () => {
    const flag = fc.constantFrom(
      "--port",
      "--listen",
      "--listen=",
      "--state",
      "--stratum=3",
      "--",
      "-",
      "--help",
      "-1",
      "::1"
    )
    const property = fc.property(fc.array(fc.oneof(flag, fc.string({ unit: "binary" }))), (args) => {
      const result = parseFlags(upCommand, args)
      return result.ok || !/\p{Cc}/u.test(result.error.message)
    })
    expect(fc.check(property).failed).toBe(false)
  })
})
