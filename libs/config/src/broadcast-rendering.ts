/** The settings of broadcast, multicast and manycast as lines that give the same settings when they are read. */
import type { BroadcastSettings, ManySettings } from "./broadcast-settings.ts"
import { given, line, lineWhereSet, type SettingLine, switched } from "./setting-line.ts"

export const describeBroadcast = (settings: BroadcastSettings): readonly SettingLine[] => {
  const { broadcasts, hearsBroadcasts, groups, delay, manycastGroups, manycasts } = settings
  return [
    ...broadcasts.map((one) => line("broadcast", one, describeMany)),
    ...(hearsBroadcasts.value ? [line("broadcastclient", hearsBroadcasts, () => "")] : []),
    ...groups.map((one) => line("multicastclient", one, String)),
    ...lineWhereSet("broadcastdelay", delay, String),
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
    ...switched("iburst", many.iburst),
    ...switched("prefer", many.prefer),
    ...given("key", many.key),
    ...switched("autokey", many.autokey !== undefined),
    ...given("ident", many.autokey?.ident)
  ].join(" ")
