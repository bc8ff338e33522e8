import type { SourceView } from "../src/system-peer.ts"

/** A source that is fit to be followed, but for what a test says. */
export const source = (id: string, more: Partial<SourceView> = {}): SourceView => ({
  id,
  reach: 0xff,
  stratum: 2,
  leap: 0,
  loop: false,
  offset: 0,
  delay: 0.02,
  dispersion: 0.001,
  jitter: 0.0005,
  rootDelay: 0.01,
  rootDispersion: 0.002,
  updated: 1000,
  pollInterval: 64,
  prefer: false,
  noselect: false,
  alwaysTrue: false,
  ...more
})
