/**
 * The bench of Autokey beside classic ntpd: session-keyed requests, which workers answer; cookies, each of which costs a
 * signature and an encryption; and what a flood of cookie requests costs clients of plain time.
 */
import { execFileSync } from "node:child_process"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { BadCredentials } from "@meridian/auth/autokey/host"
import { openParty } from "@meridian/auth/autokey/party"
import { nobleCmac } from "@meridian/auth/cmac-noble"
import { nodeRsa } from "@meridian/ciphers/autokey-rsa"
import { nodeDigests } from "@meridian/ciphers/digests"
import { readKeysDirectory } from "@meridian/ciphers/keys-directory"
import { cookieField, floodOfCookies, obtainCookie, sessionPool } from "./autokey-requests.ts"
import { inFolder, notesOf, ratioOf, saturate, subject, figuresOf } from "./authenticated.ts"
import { missingClassic, startClassic } from "./classic-ntpd.ts"
import { keyedPool, makeKeys } from "./keyed-requests.ts"
import { sample } from "./measure.ts"
import { atLeast, atMost, type BenchOptions, type BenchResult, type Check, compared, withServers } from "./results.ts"
import {
  checkout,
  configuredMeridian,
  type RunningServer,
  start as startNamed,
  startCommands,
  type StartOptions
} from "./servers.ts"
import { pairedRatio, summary } from "./statistics.ts"

const PASSWORD = "srvpw"
const HOST = "alice"

/** A trusted host's keys of 2048 bits, which both servers read. */
const makeKeysDirectory = (folder: string): string => {
  const directory = join(folder, "keys")
  mkdirSync(directory, { mode: 0o700 })
  const keygen = join(checkout, "services/cli/bin/ntp-keygen.mjs")
  execFileSync(process.execPath, [keygen, "-T", "-p", PASSWORD, "-s", HOST], { cwd: directory, stdio: "ignore" })
  return directory
}

const startMeridian = (options: StartOptions, directory: string, keys: readonly string[]): Promise<RunningServer> =>
  startCommands("meridian", "Meridian", options, (port, folder) => [
    configuredMeridian(options, port, folder, [`keysdir ${directory}`, `crypto host ${HOST} pw ${PASSWORD}`, ...keys])
  ])

const SESSION = "session-keyed"
const MD5_KEYED = "MD5"

/** Cookies answered in one process, without sockets. */
const COOKIES_A_ROUND = 4_000

/** Cookies a core-second, and how many OpenSSL's own measure of both halves allows, by rounds in turn. */
const cookies = ({ rounds, progress }: BenchOptions, directory: string) => {
  const found = readKeysDirectory({
    directory,
    host: HOST,
    password: PASSWORD,
    ident: undefined,
    digest: "MD5",
    groups: []
  })
  if (found.host === undefined) throw new Error(`expected keys in ${directory}, found ${found.problems.join("; ")}`)
  const party = openParty(found.host, {
    rsa: nodeRsa,
    digests: nodeDigests(nobleCmac),
    randomBelow: () => 0n,
    leapSeconds: undefined,
    autokeyValues: () => undefined
  })
  if (party instanceof BadCredentials) throw new Error(party.message)
  const { responder } = party
  const now = Date.now() / 1_000
  const answer = (count: number): number => {
    const before = process.cpuUsage()
    for (let index = 0; index < count; index += 1) {
      const { reason } = responder.answer(cookieField, { cookie: index, now })
      if (reason !== "cookie") throw new Error(`expected a cookie, found ${reason}`)
    }
    const { user, system } = process.cpuUsage(before)
    return count / ((user + system) / 1e6)
  }
  answer(COOKIES_A_ROUND / 4)
  const [ours, bounds]: [number[], number[]] = [[], []]
  for (let round = 0; round < rounds; round += 1) {
    progress(`autokey: round ${round + 1} of ${rounds}, cookies beside openssl speed`)
    ours.push(answer(COOKIES_A_ROUND))
    bounds.push(opensslBound())
  }
  return { ours, bounds }
}

/** Cookies a core-second by `openssl speed` of RSA-2048: one private operation for the signature, one public for the cookie. */
const opensslBound = (): number => {
  const text = execFileSync("openssl", ["speed", "-seconds", "1", "rsa2048"], { encoding: "utf8", stdio: "pipe" })
  const [, signs, verifies] = /rsa\s+2048 bits\s+\S+\s+\S+\s+([\d.]+)\s+([\d.]+)/.exec(text) ?? []
  if (signs === undefined || verifies === undefined) throw new Error(`expected figures of rsa 2048, found ${text}`)
  return 1 / (1 / Number(signs) + 1 / Number(verifies))
}

/** Plain requests a second, and hostile cookie requests a second beside them, from so many addresses. */
const PLAIN_RATE = 5_000
const HOSTILE_RATE = 2_000
const HOSTILE_ADDRESSES = 1_000

const besideFlood = async (options: BenchOptions, server: RunningServer): Promise<readonly Check[]> => {
  const { layout, rounds, seconds, progress } = options
  const load = { mode: "open", rate: PLAIN_RATE, seconds } as const
  const lost: number[] = []
  const sent: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    progress(`autokey: round ${round + 1} of ${rounds}, plain requests beside hostile cookie requests`)
    const flood = await floodOfCookies(server.address, server.port, HOSTILE_RATE, HOSTILE_ADDRESSES)
    const { report } = await sample(server, load, layout.generator)
    sent.push(flood.stop())
    lost.push(report.lost + report.refused)
  }
  return [
    {
      ...atMost(`plain requests lost of ${PLAIN_RATE}/s beside hostile cookies, worst round`, summary(lost), 0, 0),
      met: Math.max(...lost) === 0
    },
    atLeast("hostile cookie requests/s that were sent meanwhile", summary(sent), 0.95 * HOSTILE_RATE, 0)
  ]
}

export const autokey = (options: BenchOptions): Promise<BenchResult> =>
  inFolder(async (folder) => {
    const { address, layout, progress } = options
    const directory = makeKeysDirectory(folder)
    const keys = makeKeys(folder)
    const start = { address, workers: 1, cores: layout.one }
    const lost = missingClassic()
    const symmetric = [`keys ${keys.file}`, `trustedkey ${keys.table.keys.map(({ id }) => id).join(" ")}`]
    const starting = [
      () => startMeridian(start, directory, symmetric),
      ...(lost === undefined
        ? [
            () =>
              startClassic(start, ["restrict default", `keysdir ${directory}`, `crypto host ${HOST} pw ${PASSWORD}`])
          ]
        : []),
      () => startNamed("floor", start)
    ]
    return withServers(starting, async (servers) => {
      const subjects = []
      for (const server of servers) {
        subjects.push(subject(server, "plain"))
        // It has no keys: what it costs is the kernel's part of any reply.
        if (server.name === "floor") continue
        progress(`autokey: a cookie from ${server.label}`)
        const cookie = await obtainCookie(server.address, server.port)
        const pool = sessionPool(folder, server.label.replaceAll(/\W/g, ""), server.address, cookie)
        subjects.push(subject(server, SESSION, pool))
      }
      const [own] = servers
      if (own === undefined) throw new Error("expected a server to measure, found none")
      subjects.push(subject(own, MD5_KEYED, keyedPool(folder, keys, MD5_KEYED)))
      const saturated = await saturate(subjects, "autokey", options)
      const check = (a: string, b: string, limit?: number): readonly Check[] => {
        const found = ratioOf(saturated, a, b)
        const name = `CPU per reply: ${a} / ${b}`
        if (found === undefined) return []
        return [limit === undefined ? compared(name, found, 3) : atMost(name, found, limit, 3)]
      }
      const flood = await besideFlood(options, own)
      const { ours, bounds } = cookies(options, directory)
      const session = `${own.label} ${SESSION}`
      return {
        name: "autokey",
        title: "Autokey with 2048 bits and MD5, one worker, one core",
        figures: figuresOf(saturated),
        checks: [
          ...check(session, `classic ntpd ${SESSION}`, 0.5),
          ...check(session, `${own.label} ${MD5_KEYED}`, 1.25),
          ...check(session, `${own.label} plain`),
          ...check(session, "C floor plain"),
          ...check("C floor plain", `classic ntpd ${SESSION}`),
          atLeast("cookies a core-second: Meridian / openssl speed's bound", pairedRatio(ours, bounds), 0.9, 3),
          compared("cookies a core-second", summary(ours), 0),
          ...flood
        ],
        notes: [...(lost === undefined ? [] : [`classic ntpd is left out: ${lost}`]), ...notesOf(saturated)]
      }
    })
  })
