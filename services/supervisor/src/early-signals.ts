/**
 * Signals from a program's first moment on. Loaded before all else: by itself a signal ends a process, and a supervisor that becomes another
 * version loads for a second or more while clients are answered. What comes meanwhile is kept until there is a node to obey.
 */

const obeyed = ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR2"] as const
export type Obeyed = (typeof obeyed)[number]

const kept: Obeyed[] = []
let obey = (signal: Obeyed): void => void kept.push(signal)

for (const signal of obeyed) process.on(signal, () => obey(signal))
// Node would open its inspector on this signal, to whoever may connect to this machine.
process.on("SIGUSR1", () => {})

/** Hands on what was kept and what comes from now on, in the order in which it came. */
export const obeySignals = (by: (signal: Obeyed) => void): void => {
  obey = by
  for (const signal of kept.splice(0)) by(signal)
}
