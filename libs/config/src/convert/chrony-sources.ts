/** chrony's server, pool, peer and refclock lines as ntp.conf has them. */
import { LOST_FLAGS, LOST_VALUES, withPort } from "../chrony-options.ts"
import { type Draft, type Place, quoted } from "./conversion.ts"

/** Options without a value that mean the same here. */
const SAME_FLAGS = new Set(["iburst", "burst", "nts", "prefer", "noselect", "xleave"])
/** Options with a value that mean the same here. */
const SAME_VALUES = new Set([
  "key",
  "maxdelay",
  "maxdelayratio",
  "maxdelaydevratio",
  "mindelay",
  "asymmetry",
  "offset",
  "filter",
  "presend",
  "version"
])

/** Polls that a line may name here, log2 seconds. */
const LEAST_POLL = -7
const LEAST_CLOCK_POLL = 0
const MOST_POLL = 17

/**
 * Carries over `server`, `pool` or `peer`.
 * @param words of the line, the directive first
 */
export const convertSource = (draft: Draft, place: Place, words: readonly string[]): void => {
  const [kind = "", host = "", ...options] = words
  if (host === "") return draft.remark(place, "it names no host")
  const isNts = options.some((word) => word.toLowerCase() === "nts")
  const said: string[] = []
  const lost: (readonly [string, string])[] = []
  let target = host
  let family = ""
  for (let at = 0; at < options.length; at += 1) {
    const option = (options[at] ?? "").toLowerCase()
    const value = options[at + 1] ?? ""
    if (SAME_FLAGS.has(option)) said.push(option)
    else if (option === "trust") said.push("true")
    else if (option === "ipv4" || option === "ipv6") family = option === "ipv4" ? "-4 " : "-6 "
    else if (option in LOST_FLAGS) lost.push([option, LOST_FLAGS[option] ?? ""])
    else {
      at += 1
      if (SAME_VALUES.has(option)) said.push(`${option} ${value}`)
      else if (option === "minpoll" || option === "maxpoll") {
        const poll = Math.min(MOST_POLL, Math.max(LEAST_POLL, Number(value)))
        said.push(`${option} ${poll}`)
        if (String(poll) !== value)
          lost.push([`${option} ${value}`, `polls go from ${LEAST_POLL} to ${MOST_POLL}; ${poll} stands for it`])
      } else if (option === "port" && !isNts) target = value === "123" ? host : withPort(host, value)
      else if (option === "ntsport" && isNts) target = value === "4460" ? host : withPort(host, value)
      else if (option in LOST_VALUES) lost.push([`${option} ${value}`, LOST_VALUES[option] ?? ""])
      else lost.push([option, "chrony has no such option either, as far as is known here"])
    }
  }
  draft.add([kind.toLowerCase(), `${family}${target}`, ...said].join(" "))
  for (const [what, why] of lost) draft.remarkOn(place, what, why)
}

/** chrony's options of a reference clock by what they are called here. */
const CLOCK_VALUES: Readonly<Record<string, string>> = {
  refid: "refid",
  stratum: "stratum",
  offset: "time1",
  precision: "precision",
  minsamples: "",
  maxsamples: ""
}

const LOST_CLOCK: Readonly<Record<string, string>> = {
  dpoll: "the driver is looked at four times a second",
  filter: "all readings of a poll are used",
  lock: "whatever survives within 0.4 s numbers the pulses, the one under prefer first",
  rate: "one pulse a second is expected",
  width: "both edges are not told apart; flag2 1 takes the clear edge",
  maxlockage: "a pulse is numbered by whatever survives",
  maxdispersion: "samples are weighed by their noise",
  minsamples: "the estimator weighs samples by their age and noise",
  maxsamples: "the estimator weighs samples by their age and noise"
}

/** Carries over `refclock`. */
export const convertClock = (draft: Draft, place: Place, words: readonly string[]): void => {
  const [, driver = "", parameter = "", ...options] = words
  const [path = "", ...modes] = parameter.split(":")
  const kind = driver.toLowerCase()
  if (!["shm", "sock", "pps", "phc"].includes(kind))
    return draft.remark(place, "the drivers here are shm, sock, pps and phc; gpsd and others write to shm or sock")
  const said = [kind === "shm" ? `unit ${path}` : `path ${quoted(path)}`]
  const lost: (readonly [string, string])[] = []
  for (const mode of modes) {
    if (mode === "clear" && kind === "pps") said.push("flag2 1")
    else if (mode.startsWith("perm=")) lost.push([mode, "the segment has the mode that its number gives it"])
    else lost.push([mode, "the driver has no such mode"])
  }
  for (let at = 0; at < options.length; at += 1) {
    const option = (options[at] ?? "").toLowerCase()
    if (["prefer", "noselect"].includes(option)) said.push(option)
    else if (option === "trust") said.push("true")
    else if (option === "tai" && kind === "phc") said.push("flag1 1")
    else if (["require", "pps", "local", "tai"].includes(option)) lost.push([option, "there is no such option"])
    else {
      const value = options[++at] ?? ""
      const name = CLOCK_VALUES[option]
      if (option === "poll") said.push(...pollsOf(Number(value)))
      else if (option === "delay" && kind === "sock") said.push(`time2 ${Number(value) / 2}`)
      else if (option === "delay") lost.push([`${option} ${value}`, "the segment's own precision stands for it"])
      else if (name !== undefined && name !== "") said.push(`${name} ${value}`)
      else lost.push([`${option} ${value}`, LOST_CLOCK[option] ?? "there is no such option"])
    }
  }
  draft.add([`refclock ${kind}`, ...said].join(" "))
  for (const [what, why] of lost) draft.remarkOn(place, what, why)
}

const pollsOf = (poll: number): readonly string[] => {
  const within = Math.min(MOST_POLL, Math.max(LEAST_CLOCK_POLL, poll))
  return [`minpoll ${within}`, `maxpoll ${within}`]
}
