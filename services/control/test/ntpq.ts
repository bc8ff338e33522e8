/** Three versions of ntpq, each with the daemon that it came with, and how they are asked. */
import { type NetworkNamespace } from "@meridian/testkit/network-namespace"
import { CONTROL_KEY, type Ran, type Stage } from "./stage.ts"

/** The first two pad what their MAC covers to 8 octets, the third to 4. */
export const ntpqPairs = [
  { ntpq: "classic-ntpq", ntpd: "classic-ntpd" },
  { ntpq: "ntpsec-ntpq", ntpd: "ntpsec-ntpd" },
  { ntpq: "ntpsec-ntpq-1.2.3", ntpd: "ntpsec-ntpd-1.2.3" }
] as const
export type Ntpq = (typeof ntpqPairs)[number]["ntpq"]

/** Keys of the stage: the one that controls, and one that is trusted and does not. */
const KEYS = {
  control: { id: CONTROL_KEY, type: "SHA1", secret: "controlling-key" },
  other: { id: 1, type: "MD5", secret: "plain-ascii-key" }
} as const

/** What has an ntpq work under a key. */
const loginOf = (stage: Stage, ntpq: Ntpq, key: keyof typeof KEYS = "control"): readonly string[] => {
  const { id, type, secret } = KEYS[key]
  return ntpq === "classic-ntpq"
    ? ["-c", `keytype ${type}`, "-c", `keyid ${id}`, "-c", `passwd ${secret}`]
    : ["-k", stage.keys, "-a", String(id)]
}

/** `timeout` prints a line of its own between the answers: ntpq is slow to start. */
const SEPARATOR = /^primary timeout.*$\n?/m
const SEPARATING = ["-c", "timeout"]

/** What each command prints on standard output, under the control key, without the empty lines around it. */
export const askNtpq = async (
  stage: Stage,
  ntpq: Ntpq,
  commands: readonly string[],
  where: NetworkNamespace = stage.network
): Promise<readonly string[]> => {
  const asked = commands.flatMap((command) => [...SEPARATING, "-c", command])
  const { stdout, stderr } = await stage.run(ntpq, ["-n", ...loginOf(stage, ntpq), ...asked, "127.0.0.1"], where)
  const answers = stdout.split(SEPARATOR).slice(1)
  if (answers.length !== commands.length) throw new Error(`${answers.length} answers to ${commands.length}: ${stderr}`)
  return answers.map((text) => text.replaceAll("\r", "").trim())
}

/** NTPsec's ntpq says this of each answer without a MAC. */
const REMARK = /^AUTH - packet too short for MAC.*\n?/gm

export interface Said {
  readonly text: string
  readonly error: string
}

/** One command, with what it says on standard error. */
export const askAlone = async (
  stage: Stage,
  ntpq: Ntpq,
  command: string,
  { where = stage.network, key }: { readonly where?: NetworkNamespace; readonly key?: keyof typeof KEYS } = {}
): Promise<Said> => {
  // Associations go by their number in this table (`&1`).
  const args = ["-n", ...loginOf(stage, ntpq, key), "-c", "as", ...SEPARATING, "-c", command, "127.0.0.1"]
  const { stdout, stderr }: Ran = await stage.run(ntpq, args, where)
  const [, text = ""] = stdout.split(SEPARATOR)
  return { text: text.replaceAll("\r", "").trim(), error: stderr.replaceAll(REMARK, "").trim() }
}

export const isSynchronised = async (stage: Stage, ntpq: Ntpq, where: NetworkNamespace): Promise<boolean> =>
  /^\*/m.test((await stage.run(ntpq, ["-np", "127.0.0.1"], where)).stdout)
