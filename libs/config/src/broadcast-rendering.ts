/** The settings of broadcast, multicast and manycast as lines that give the same settings when they are read. */
import type { BroadcastSettings, ManySettings } from "./broadcast-settings.ts"
import type { SettingLine } from "./setting-line.ts"
import type { Sourced } from "./sourced.ts"

export const describeBroadcast = (settings: BroadcastSettings): readonly SettingLine[] => {
  const { broadcasts, hearsBroadcasts, groups, delay, manycastGroups, manycasts } = settings
  const line = <T>(directive: string, { value, origin }: Sourced<T>, write: (value: T) => string): SettingLine => ({
    directive,
    value: write(value),
    origin
  })
  return [
    ...broadcasts.map((one) => line("broadcast", one, describeMany)),
    ...(hearsBroadcasts.value ? [line("broadcastclient", hearsBroadcasts, () => "")] : []),
    ...groups.map((one) => line("multicastclient", one, String)),
    ...(delay.value === undefined ? [] : [line("broadcastdelay", delay, String)]),
    ...manycastGroups.map((one) => line("manycastserver", one, String)),
    ...manycasts.map((one) => line("manycastclient", one, describeMany))
  ]
}

const describeMany = (many: ManySettings): string =>
  [
    many.address,
    `version ${many.version}`,
    `minpoll ${many.minPoll}`,
    `maxpoll ${many.maxPoll}`,
    `ttl ${many.hops}`,
    ...(many.iburst ? ["iburst"] : []),
    ...(many.prefer ? ["prefer"] : []),
    ...(many.key === undefined ? [] : [`key ${many.key}`]),
    ...(many.autokey === undefined ? [] : ["autokey"]),
    ...(many.autokey?.ident === undefined ? [] : [`ident ${many.autokey.ident}`])
  ].join(" ")
