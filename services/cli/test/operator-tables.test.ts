import type { GenerationView, SetView } from "@meridian/ipc"
import { describe, expect, it } from "vitest"
import { formatCluster } from "../src/cluster-command.ts"
import { generationTable, memberTable, setTable } from "../src/cluster-view.ts"
import { formatExplanation } from "../src/explain-command.ts"
import { table, wrapped } from "../src/text-table.ts"
import { state } from "./sample-state.ts"

describe("tables", () => {
  it("show the cluster on one screen", () => {
    expect(formatCluster(state)).toBe(
      [
        "node a  follows b, term 7  not ready: no key",
        "log          jetstream, at 40, 2 behind, 1 put aside",
        "cluster key  00ff00ff00ff00ff",
        "keys         NTS generation 2, symmetric set 1",
        "clock        this node's clock is 3600 s ahead of nodes b, c: it does not lead until it is set right",
        "name         another process has registered as node a since this one did",
        "put aside    the key of keys.nts 4 is wrongly sealed in the log and put aside: no node can open it",
        "  node  leads  version  workers  clock         NTS key  key set  heard                 state",
        "  a            0.1.0    1/2      synchronised  3        1        2026-11-21 12:00:00Z  not ready: no key",
        "  b     yes    -        ?/0      ?             ?        ?        2026-11-21 11:00:00Z  silent",
        ""
      ].join("\n")
    )
    expect(formatCluster({ ...state, leader: null, log: { ...state.log, adapter: null }, drained: true })).toMatch(
      /^node a {2}nobody leads yet, term 7 {2}drained\nlog {10}out of reach, 1 put aside/
    )
  })

  it("have an event of a usual length below its row, where a line would be longer than 100 columns", () => {
    const event = "8d6fab96-83b6-4ed5-b4d9-ede1f0cefbd5.0"
    const [activation, retirement] = ["2026-11-30T12:42:39.686Z", "2026-12-11T12:42:39.686Z"]
    expect(
      generationTable([{ generation: 1, status: "active", activation, retirement, event } as GenerationView])
    ).toBe(
      [
        "  generation  status  active from           accepted until",
        "  1           active  2026-11-30 12:42:39Z  2026-12-11 12:42:39Z",
        `      by event ${event}`,
        ""
      ].join("\n")
    )
    const keys = Array.from({ length: 20 }, (_, at) => ({ id: at + 1, type: at < 10 ? "AES128CMAC" : "SHA1" }))
    const set = { set: 1, status: "announced", keys, trustedFrom: activation, until: null, event }
    const lines = setTable([set as unknown as SetView]).split("\n")
    expect(lines.filter(({ length }) => length > 100)).toEqual([])
    expect(lines[1]).toContain("1-10 AES128CMAC, 11-20 SHA1")
  })

  it("fit a terminal of 80 columns: the cluster's nodes go without version and time there", () => {
    const lines = memberTable(state.members, "b", 80).split("\n")
    expect(lines[0]).toBe("  node  leads  workers  clock         NTS key  key set  state")
    expect(lines.filter(({ length }) => length > 80)).toEqual([])
    expect(memberTable(state.members, "b", Infinity)).toContain("2026-11-21 12:00:00Z")
  })

  it("have a sentence begin beside its name where it is longer than a line", () => {
    const sentence = "192.0.2.1 is no address of this machine now: it is answered on once it is there again, by netlink"
    expect(wrapped(`missing   ${sentence}`, " ".repeat(10), 80).split("\n")).toEqual([
      "missing   192.0.2.1 is no address of this machine now: it is answered on once it",
      "          is there again, by netlink"
    ])
  })

  it("break what is longer than a line behind a comma", () => {
    const health = JSON.stringify({ workers: 2, synchronised: true, ntsGeneration: 0, symmetricSet: 0 })
    expect(wrapped(`         vm: health=${health}`, "           ", 80).split("\n")).toEqual([
      "         vm:",
      '           health={"workers":2,"synchronised":true,"ntsGeneration":0,',
      '           "symmetricSet":0}'
    ])
  })

  it("say so where there is nothing", () => {
    expect([generationTable([]), setTable([]), memberTable([], null)]).toEqual([
      "  none\n",
      "  none\n",
      "  none has registered\n"
    ])
  })

  it("say what an explanation lacks", () => {
    const text = formatExplanation({
      at: "2026-11-21T12:00:00.000Z",
      leader: { node: "a", term: 3, event: "e.1" },
      generations: [],
      symmetricSets: [],
      clocks: [
        {
          node: "a",
          peer: null,
          holdover: true,
          leap: "none",
          reachable: [],
          steps: 1,
          event: "e.7",
          reason: "a: unreachable"
        },
        {
          node: "b",
          peer: "192.0.2.1",
          holdover: false,
          leap: "insert",
          reachable: ["192.0.2.1"],
          steps: 0,
          event: null,
          reason: null
        }
      ],
      future: false,
      dropped: [
        { subject: "clock.a", events: 5, firstLeft: "2026-11-21T13:00:00.000Z", matters: true },
        { subject: "clock.b", events: 6, firstLeft: "2026-11-20T13:00:00.000Z", matters: false }
      ],
      quarantined: 2
    })
    expect(text).toContain("the leader was a, term 3, by event e.1")
    expect(text).toMatch(/a {5}holdover {5}0 .* e\.7 {4}a: unreachable\n/)
    expect(text).toContain(
      "5 events of clock.a were dropped by retention, the first left is of 2026-11-21 13:00:00Z: what is said of it here may lack something"
    )
    expect(text).toContain("before what matters here")
    expect(text).toContain("2 commits could not be read")
  })

  it("colour only where asked, and never move a column by it", () => {
    const rows = [["x", { text: "good", colour: "good" as const }, "y"]]
    const plain = table(["a", "b", "c"], rows, false)
    const coloured = table(["a", "b", "c"], rows, true)
    expect(plain).toBe("  a  b     c\n  x  good  y\n")
    expect(coloured).toContain("\u001B[32mgood\u001B[0m")
    // eslint-disable-next-line no-control-regex
    expect(coloured.replaceAll(/\u001B\[\d*m/g, "")).toBe(plain)
  })
})
