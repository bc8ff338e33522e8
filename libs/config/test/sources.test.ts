import { describe, expect, it } from "vitest"
import { problems, settle, sources } from "./settled.ts"

describe("sources", () => {
  it("have the defaults of ntp.conf(5)", () => {
    expect(sources("server ntp.example")).toEqual([
      {
        kind: "server",
        family: undefined,
        host: "ntp.example",
        port: undefined,
        version: 4,
        minPoll: 6,
        maxPoll: 10,
        burst: false,
        iburst: false,
        prefer: false,
        noselect: false,
        truechimer: false,
        preempt: false,
        xleave: false,
        bias: 0,
        presend: undefined,
        path: {
          maxDelay: undefined,
          maxDelayRatio: undefined,
          maxDelayDevRatio: undefined,
          minDelay: undefined,
          asymmetry: undefined,
          filter: undefined
        },
        mode: 0,
        key: undefined,
        nts: undefined
      }
    ])
  })

  it("take chrony's words for a path, and `offset` as `bias`", () => {
    const line = "offset 0.5 mindelay 2e-4 asymmetry 0.499 maxdelay 0.1 maxdelayratio 2 maxdelaydevratio 10 filter 5"
    expect(sources(`server ntp.example ${line}`)).toMatchObject([
      {
        bias: 0.5,
        path: { maxDelay: 0.1, maxDelayRatio: 2, maxDelayDevRatio: 10, minDelay: 2e-4, asymmetry: 0.499, filter: 5 }
      }
    ])
  })

  it("take chrony's presend, but for peers and beside xleave", () => {
    expect(sources("server ntp.example presend 9")).toMatchObject([{ presend: 9 }])
    expect(sources("peer ntp.example presend 9")).toMatchObject([{ presend: undefined }])
    expect(problems("peer ntp.example presend 9")).toEqual(["warning 1:18 'presend' has no effect on a peer"])
    expect(problems("server ntp.example xleave presend 9")).toEqual([
      "warning 1:27 'presend' has no effect beside 'xleave'"
    ])
  })

  it("take every option", () => {
    expect(
      sources(
        "peer -6 [2001:db8::1]:4461 burst iburst prefer noselect true preempt xleave bias 0.5 mode 3 version 3 key 9"
      )
    ).toMatchObject([
      {
        kind: "peer",
        family: 6,
        host: "2001:db8::1",
        port: 4461,
        version: 3,
        burst: true,
        iburst: true,
        prefer: true,
        noselect: true,
        truechimer: true,
        preempt: true,
        xleave: true,
        bias: 0.5,
        mode: 3,
        key: 9
      }
    ])
  })

  it.each([
    ["server 2001:db8::1", "2001:db8::1", undefined],
    ["server 192.0.2.1:11123", "192.0.2.1", 11123],
    ["server ntp.example:4461 nts", "ntp.example", 4461],
    ["server [::1]", "::1", undefined]
  ])("%s is %s, port %s", (text, host, port) => expect(sources(text)).toMatchObject([{ host, port }]))

  it("keep NTS to itself", () => {
    expect(sources("server h nts noval ca /r aead AES_SIV_CMAC_512 key 3")).toMatchObject([
      { key: undefined, nts: { verify: false, ca: "/r", aead: 17 } }
    ])
    expect(problems("server h nts key 3")).toEqual([
      "warning 1:14 'key' has no effect beside 'nts', which authenticates by itself"
    ])
    expect(sources("peer h nts")).toMatchObject([{ kind: "server", nts: { verify: true } }])
    expect(problems("peer h nts")).toEqual(["warning 1:8 'nts' is for clients of a server: this peer is asked as one"])
    expect(sources("peer h key 3")).toMatchObject([{ kind: "peer", key: 3 }])
    expect(problems("server h noval")).toEqual(["warning 1:10 'noval' has no effect without 'nts'"])
  })

  it.each([
    ["server h minpoll 12", 12, 12],
    ["server h maxpoll 4", 4, 4],
    ["server h minpoll 3 maxpoll 5", 3, 5]
  ])("%s polls from %i to %i", (text, minPoll, maxPoll) => expect(sources(text)).toMatchObject([{ minPoll, maxPoll }]))

  it("are told apart by address and port, however these are written: the first line of one counts", () => {
    const text = "server 2001:db8::1 minpoll 3\nserver [2001:DB8:0::1]:123\npool Ntp.example\nserver ntp.example iburst"
    expect(sources(text)).toMatchObject([
      { host: "2001:db8::1", minPoll: 3 },
      { kind: "pool", host: "Ntp.example" }
    ])
    expect(problems(text)).toEqual([
      "warning 2:1 '2001:DB8:0::1' is a source already, by f:1; this line has no effect",
      "warning 4:1 'ntp.example' is a source already, by f:3; this line has no effect"
    ])
    const ports = "server 192.0.2.1:1123\nserver 192.0.2.1:1124\nserver h nts\nserver h:4460 nts\nserver h:4461 nts"
    expect(sources(ports).map(({ port }) => port)).toEqual([1123, 1124, undefined, 4461])
    expect(problems(ports)).toEqual(["warning 4:1 'h' is a source already, by f:3; this line has no effect"])
    expect(problems("server 192.0.2.1\nserver 192.0.2.2:123\nunpeer 192.0.2.1\nserver 192.0.2.1")).toEqual([])
  })

  it("are taken back by the address that unpeer means, and it says where it means none", () => {
    expect(sources("server [2001:db8::1]:11123\nunpeer 2001:db8:0:0::1")).toEqual([])
    expect(sources("server 192.0.2.1:11123\nunpeer 192.0.2.1:11123")).toEqual([])
    expect(sources("server 192.0.2.1:11123\nserver 192.0.2.1\nunpeer 192.0.2.1:123")).toMatchObject([{ port: 11123 }])
    expect(problems("server a\nunpeer b\nunpeer clock shm unit 3")).toEqual([
      "warning 2:1 'unpeer' finds no such source; it has no effect",
      "warning 3:1 'unpeer' finds no such source; it has no effect"
    ])
  })

  it("are of the family that is asked for", () => {
    expect(sources("server -6 ntp.example\nserver -4 192.0.2.1")).toMatchObject([{ family: 6 }, { family: 4 }])
    expect(problems("pool -4 [::1]")).toEqual(["error 1:9 found '[::1]', expected an IPv4 address or a name behind -4"])
  })

  it.each([
    ["autokey", "add the line: crypto pw PASSWORD"],
    ["ident GROUP", "has no effect without 'autokey'"],
    ["preempt", "those of a 'pool' make room"],
    ["mode 3", "refclock DRIVER mode N"],
    ["ttl 3", "'manycastclient' lines"],
    ["ask h", "the key exchange says which server"],
    ["require h", "the key exchange says which server"],
    ["cert /c", "without a client's certificate"],
    ...["burst", "iburst", "noselect", "prefer", "true", "xleave", "xmtnonce", "bias -0.01", "key 3", "version 3"].map(
      (option) => [option, undefined] as const
    ),
    ...["minpoll 4", "maxpoll 17", "nts", "nts noval", "nts ca /c", "nts aead AES_SIV_CMAC_256"].map(
      (option) => [option, undefined] as const
    )
  ] as const)("with `%s` say whether it has an effect", (option, why) => {
    for (const kind of ["server", "pool"]) {
      const messages = settle(`keys /k\ntrustedkey 3\n${kind} h ${option}`).diagnostics.map(({ message }) => message)
      expect(messages).toHaveLength(why === undefined ? 0 : 1)
      expect(messages.join()).toContain(why ?? "")
    }
  })

  it("may be peers that no line names: sixteen, or as many as the last line says", () => {
    const most = (text: string) => settle(text).settings.passivePeers.value
    expect([most(""), most("passivepeers 0"), most("passivepeers 3\npassivepeers 64")]).toEqual([16, 0, 64])
    expect(problems("passivepeers 65")[0]).toMatch(/^error 1:14 /)
  })

  it("are taken back by unpeer wherever it stands", () => {
    expect(sources("unpeer b\nserver a\npool b\npeer b").map(({ host }) => host)).toEqual(["a"])
    const clocks = "refclock shm unit 1\nserver 127.127.28.2\n"
    const left = (more: string) =>
      settle(clocks + more).settings.referenceClocks.map(({ value }) => [value.driver, value.unit])
    expect(left("")).toEqual([
      ["shm", 1],
      ["shm", 2]
    ])
    expect(left("unpeer clock shm unit 1")).toEqual([["shm", 2]])
    expect(left("unpeer clock 28 unit 2")).toEqual([["shm", 1]])
    expect(left("unpeer 127.127.28.1")).toEqual([["shm", 2]])
    expect(left("unpeer 127.127.28.2")).toEqual([["shm", 1]])
    expect(left("unpeer clock shm")).toHaveLength(2)
  })

  it("are clocks in the form with numbers, with all their fudge lines", () => {
    const { referenceClocks, localReference } = settle(
      "server 127.127.28.1 prefer\nfudge 127.127.28.1 time1 0.25\nfudge 127.127.28.1 refid GPS flag2 1\nfudge 127.127.28.0 stratum 3\nserver 127.127.1.0"
    ).settings
    expect(referenceClocks.map(({ value }) => value)).toMatchObject([
      {
        driver: "shm",
        unit: 1,
        prefer: true,
        time1: 0.25,
        refid: "GPS",
        stratum: undefined,
        flags: [false, true, false, false]
      }
    ])
    expect(localReference.value.stratum).toBe(10)
  })
})
