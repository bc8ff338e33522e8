/** The API's commands. */
import * as Effect from "effect/Effect"
import { type Envelope, isAuthor, defaultPolicy, type PolicyChanges } from "@meridian/events"
import { type ApiAnswer, ApiError, json, toAnswer } from "./api-answer.ts"
import { clusterKeyAggregate, memberAggregate, policyAggregate } from "./cluster-fold.ts"
import { readClusterKeyFile } from "./cluster-keys.ts"
import { carryOut, type Writer } from "./command.ts"
import type { Coordinator } from "./coordinator.ts"
import { type Leader, NotLeading } from "./leader.ts"

type Body = Readonly<Record<string, unknown>>

const LONGEST_REASON = 256
/**
 * AEAD_AES_SIV_CMAC_256: what cookies are sealed with, so that they keep their length over a rotation. Sessions of every AEAD
 * are sealed with it.
 */
const COOKIE_AEAD = 15

/** Carries out POST `path`; errors come back as answers. */
export const runCommand = async (coordinator: Coordinator, path: string, text: string): Promise<ApiAnswer> => {
  try {
    const body = parseBody(text)
    switch (path) {
      case "/keys/rotate":
      case "/keys/revoke":
        return await asLeader(coordinator, path, text)
      case "/cluster/drain":
      case "/cluster/undrain":
        return await setDrained(coordinator, body, path === "/cluster/drain")
      case "/cluster/key":
        return await changeClusterKey(coordinator, body)
      case "/policy":
        return await changePolicy(coordinator, body)
      default:
        throw new ApiError(404, "NotFound", `no such command: ${path.slice(0, 64)}`)
    }
  } catch (error) {
    return toAnswer(error)
  }
}

/** What another node has handed on: only what is the leader's, and never further. */
export const runForwarded = async (coordinator: Coordinator, path: string, text: string): Promise<ApiAnswer> => {
  try {
    const body = parseBody(text)
    const leader = leaderOf(coordinator)
    if (path === "/keys/rotate") return await rotate(leader, body)
    if (path === "/keys/revoke") return await revoke(leader, body)
    throw new ApiError(404, "NotFound", "only rotate and revoke are handed on to the leader")
  } catch (error) {
    return toAnswer(error)
  }
}

const asLeader = async (coordinator: Coordinator, path: string, text: string): Promise<ApiAnswer> => {
  const { leader, backend, fold, settings } = coordinator
  writerOf(coordinator)
  const leads = fold.nts.leader
  if (leader?.leading === true || backend?.forward === undefined || leads === null || leads === settings.node)
    return runForwarded(coordinator, path, text)
  try {
    return await backend.forward.ask(leads, { path, body: text })
  } catch {
    throw new ApiError(503, "LeaderSilent", `node ${leads} led last and does not answer: try again when one leads`)
  }
}

const rotate = async (leader: Leader, body: Body): Promise<ApiAnswer> => {
  const kind = choice(body, "kind", ["nts", "symmetric"], "nts")
  const events = await Effect.runPromise<ReadonlyArray<Envelope>, unknown>(
    kind === "nts" ? leader.rotateNts(authorOf(body)) : leader.rotateSymmetric(authorOf(body))
  )
  return json(done(events))
}

const revoke = async (leader: Leader, body: Body): Promise<ApiAnswer> => {
  const reason = textOf(body, "reason", LONGEST_REASON)
  const { generation, set } = body
  if ((generation === undefined) === (set === undefined))
    throw new ApiError(400, "Malformed", "expected either generation or set")
  const events = await Effect.runPromise<ReadonlyArray<Envelope>, unknown>(
    generation === undefined
      ? leader.revokeSymmetric(ordinal("set", set), reason, authorOf(body))
      : leader.revokeNts(ordinal("generation", generation), reason, authorOf(body))
  )
  return json(done(events))
}

const setDrained = async (coordinator: Coordinator, body: Body, drained: boolean): Promise<ApiAnswer> => {
  const node = textOf(body, "node", 63)
  const reason = body["reason"] === undefined ? "drained by an operator" : textOf(body, "reason", LONGEST_REASON)
  const command = drained ? { _tag: "Drain" as const, reason } : { _tag: "Undrain" as const }
  const events = await Effect.runPromise(
    carryOut(writerOf(coordinator), memberAggregate(node), () => Effect.succeed(command), authorOf(body))
  )
  return json(done(events))
}

const changePolicy = async (coordinator: Coordinator, body: Body): Promise<ApiAnswer> => {
  const changes = body["changes"]
  if (typeof changes !== "object" || changes === null || Array.isArray(changes))
    throw new ApiError(400, "Malformed", "expected changes, an object of settings")
  const unknown = Object.keys(changes).find((name) => !Object.hasOwn(defaultPolicy, name))
  if (unknown !== undefined)
    throw new ApiError(
      400,
      "Malformed",
      `no such setting: ${unknown.slice(0, 64)}; there are ${Object.keys(defaultPolicy).join(", ")}`
    )
  const { ntsAead } = changes as { readonly ntsAead?: unknown }
  if (ntsAead !== undefined && ntsAead !== COOKIE_AEAD)
    throw new ApiError(
      400,
      "Malformed",
      `ntsAead must be ${COOKIE_AEAD}: cookies are sealed with AEAD_AES_SIV_CMAC_256, whatever clients negotiate; what those may is a matter of \`nts aead\` in ntp.conf`
    )
  const events = await Effect.runPromise(
    carryOut(
      writerOf(coordinator),
      policyAggregate,
      () => Effect.succeed({ _tag: "Change" as const, changes: changes as PolicyChanges }),
      authorOf(body)
    )
  )
  coordinator.nudge()
  return json(done(events))
}

/**
 * Gives this node the key to change to, and starts the change where none is under way. Every node has to be given the new
 * key; the one that leads wraps the slots anew as soon as it has it.
 */
const changeClusterKey = async (coordinator: Coordinator, body: Body): Promise<ApiAnswer> => {
  const writer = writerOf(coordinator)
  const key = readClusterKeyFile(textOf(body, "newKeyFile", 4_096))
  const { current, changingTo, former } = coordinator.fold.clusterKey
  const to = coordinator.keys.printOf(key)
  if (former.includes(to)) throw new ApiError(409, "FormerKey", `key ${to} was the cluster's before: make a new one`)
  if (changingTo !== null && to !== changingTo && to !== current)
    throw new ApiError(409, "UnderWay", `the change to ${changingTo} is not complete: give the nodes that key first`)
  coordinator.keys.keepNext(key)
  coordinator.foldAnewWith(to)
  const events =
    to === current
      ? []
      : await Effect.runPromise(
          carryOut(
            writer,
            clusterKeyAggregate,
            (state) => {
              const log =
                state.current === null ? undefined : coordinator.scrutiny.authenticity.handDown(state.current, to)
              return Effect.succeed({ _tag: "StartChange" as const, to, ...(log === undefined ? {} : { log }) })
            },
            authorOf(body)
          )
        )
  coordinator.nudge()
  return json({ ...done(events), key: to })
}

const done = (events: ReadonlyArray<Envelope>): { readonly events: ReadonlyArray<unknown> } => ({
  events: events.map(({ id, type, subject, version, time, author }) => ({
    id,
    type,
    subject,
    version,
    time,
    ...(author === undefined ? {} : { author })
  }))
})

const writerOf = ({ writer, leader, settings }: Coordinator): Writer => {
  if (writer !== undefined && leader !== undefined) return writer
  const what = settings.nats === null ? "is being opened" : "is out of reach"
  throw new ApiError(503, "LogUnavailable", `the event log ${what}: try again`)
}

const leaderOf = (coordinator: Coordinator): Leader => {
  const { leader, fold, settings } = coordinator
  if (leader?.leading === true) return leader
  throw new NotLeading({ leader: fold.nts.leader === settings.node ? null : fold.nts.leader })
}

const parseBody = (text: string): Body => {
  try {
    const body: unknown = text.trim() === "" ? {} : JSON.parse(text)
    if (typeof body === "object" && body !== null && !Array.isArray(body)) return body as Body
  } catch {
    // Said below: the parser's own words would quote the text.
  }
  throw new ApiError(400, "Malformed", "expected a JSON object")
}

const textOf = (body: Body, name: string, longest: number): string => {
  const value = body[name]
  if (typeof value === "string" && value.length >= 1 && value.length <= longest) return value
  throw new ApiError(400, "Malformed", `expected ${name}, a text of 1 to ${longest} characters`)
}

/** Who asks, as whoever may open the socket says. */
const authorOf = (body: Body): string | undefined => {
  const { author } = body
  if (author === undefined || isAuthor(author)) return author
  throw new ApiError(400, "Malformed", "expected author, 1 to 128 printable characters")
}

const ordinal = (name: string, value: unknown): number => {
  if (Number.isSafeInteger(value) && (value as number) >= 1) return value as number
  throw new ApiError(400, "Malformed", `expected ${name}, a whole number from 1`)
}

const choice = (body: Body, name: string, choices: ReadonlyArray<string>, otherwise: string): string => {
  const value = body[name] ?? otherwise
  if (typeof value === "string" && choices.includes(value)) return value
  throw new ApiError(400, "Malformed", `expected ${name}, one of ${choices.join(", ")}`)
}
