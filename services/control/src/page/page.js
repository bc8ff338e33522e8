/** The page: one stream of pictures, five views of it. */
import { learnOperator, mayAct, proposal, startActs } from "/acts.js"
import { knownEvents, readEvents } from "/event-log.js"
import { openHistory, showMarks, startHistory } from "/history-view.js"
import { showKeys } from "/keys-view.js"
import { ask, headers } from "/node-api.js"
import { movingPlot } from "/plots.js"
import { age, both, bytes, count, fillFacts, fillTable, seconds, utc } from "/rows.js"

const RETRY_MS = 2_000
const LATENCY_PICTURES = 60
/** Ages and marks move on without news: the cluster is asked for again after so long, and sooner where it has news. */
const CLUSTER_MS = 10_000
const views = ["clock", "traffic", "keys", "fleet", "history"]
const element = (id) => document.getElementById(id)
const rate = (value) => `${count(Math.round(value))}/s`

const offsets = movingPlot(element("offset-plot"), "Offset of the followed source, and the claimed bound", seconds, {
  isCentred: true,
  least: 1e-6
})
const rates = movingPlot(element("rate-plot"), "Replies a second", rate, { isCentred: false, least: 10 })

/** What stands for a reason where no source is followed. */
const STATES = {
  unset: "there is no time yet",
  spike: "the sources disagree with this clock; it waits for certainty",
  holdover: "no source is good; it goes on by what it learnt",
  local: "this machine's own clock, with no source beside it"
}

const say = (text, kind) => {
  const state = element("state")
  if (state.textContent !== text) state.textContent = text
  state.className = kind
}

/** Its address, with its port where that is not NTP's own. */
const place = ({ address, port, mode }) =>
  mode === "clock" || port === 123 || port === undefined
    ? address
    : address.includes(":")
      ? `[${address}]:${port}`
      : `${address}:${port}`

const showClock = ({ status, tracking, sources }) => {
  const { clock } = status
  const bound = clock.synchronised ? clock.rootDelay / 2 + clock.rootDispersion : undefined
  const followed = sources.find(({ address }) => address === tracking?.systemPeer)
  offsets.add(followed?.offset ?? Number.NaN, bound)
  fillFacts("clock-facts", [
    ["Follows", tracking?.systemPeer ?? clock.source],
    ["Why", followed?.reason ?? STATES[tracking?.state] ?? tracking?.state],
    ["Since", both(decision?.time)],
    ["By event", decision?.id],
    ["Stratum", clock.stratum],
    ["Claimed bound", seconds(bound)],
    ["System clock is off by", seconds(tracking?.offset ?? Number.NaN)],
    [
      "Frequency",
      Number.isFinite(tracking?.frequency) ? `${(Math.round(tracking.frequency * 1e3) / 1e3 || 0).toFixed(3)} ppm` : "–"
    ],
    ["Last update", utc(tracking?.referenceTime ?? undefined)],
    ["Steps", count(tracking?.steps)]
  ])
  fillTable(
    "sources",
    "Sources",
    [
      [
        "Source",
        (source) =>
          source.name === null || source.name === source.address ? place(source) : `${source.name} (${place(source)})`
      ],
      ["Verdict", ({ verdict }) => verdict],
      ["Reason", ({ reason }) => reason],
      ["Stratum", ({ stratum }) => stratum, true],
      ["Reach", ({ reach }) => reach, true],
      ["Offset", ({ offset }) => seconds(offset), true],
      ["Delay", ({ delay }) => seconds(delay), true],
      ["Distance", ({ rootDistance }) => seconds(rootDistance), true],
      ["Keys", ({ authentication }) => authentication.kind]
    ],
    sources
  )
}

/** The batches of the last minute, by how long they were in hand: what was counted then and now. */
const latencies = []

/** The upper bound of the bin that a share of them falls into, in words. */
const within = (counts, share) => {
  const all = counts.reduce((sum, one) => sum + one, 0)
  let below = 0
  const bin = counts.findIndex((one) => (below += one) >= share * all)
  if (all === 0) return "–"
  return bin === counts.length - 1 ? "more than 33 ms" : `${seconds(2 ** (bin + 1) / 1e6)} or less`
}

const share = (part, whole, digits) => (whole > 0 ? `${((100 * part) / whole).toFixed(digits)} %` : "–")

/** The modes of RFC 5905 §7.3 that others send to a server. */
const MODES = {
  1: ", symmetric active",
  2: ", symmetric passive",
  3: ", client",
  5: ", broadcast",
  6: ", control",
  7: ", private"
}

const showTraffic = ({ status, clients }) => {
  const { totals, workers } = status
  const counted = totals.batchLatencies ?? []
  latencies.push(counted)
  if (latencies.length > LATENCY_PICTURES) latencies.shift()
  // A worker that was started again begins anew.
  const lately = counted.map((one, bin) => Math.max(0, one - (latencies.length > 1 ? latencies[0][bin] : 0)))
  rates.add(totals.repliedPerSecond)
  fillFacts("traffic-facts", [
    ["Requests", rate(totals.receivedPerSecond)],
    ["Replies", rate(totals.repliedPerSecond)],
    ["Requests since the start", count(totals.received)],
    ["Lost in the kernel's queue", count(totals.overflow)],
    ["Batch answered in, median", within(lately, 0.5)],
    ["Batch answered in, 99 %", within(lately, 0.99)],
    ["Clients known", count(clients?.known)]
  ])
  const kinds = (totals.kinds ?? []).flatMap((number, kind) => (number === 0 ? [] : [[kind, number]]))
  const outcomes = [
    ...Object.entries(totals.served),
    ...Object.entries(totals.dropped).map(([name, n]) => [`dropped: ${name}`, n])
  ]
  fillTable(
    "outcomes",
    "What became of requests",
    [
      ["Outcome", ([name]) => name],
      ["Packets", ([, number]) => count(number), true],
      ["Share", ([, number]) => share(number, totals.received, 1), true]
    ],
    outcomes.filter(([, number]) => number > 0)
  )
  fillTable(
    "kinds",
    "How they were asked",
    [
      ["NTP version", ([kind]) => kind >> 3],
      ["Mode", ([kind]) => `${kind & 7}${MODES[kind & 7] ?? ""}`],
      ["Packets", ([, number]) => count(number), true],
      ["Share", ([, number]) => share(number, totals.received, 1), true]
    ],
    kinds
  )
  fillTable(
    "workers",
    "Workers",
    [
      ["Worker", ({ index }) => index],
      ["State", ({ state }) => state],
      ["Requests", ({ receivedPerSecond }) => rate(receivedPerSecond), true],
      ["Share", ({ received }) => share(received, totals.received, 0), true],
      ["Restarts", ({ restarts }) => restarts, true],
      ["Memory", ({ rss }) => bytes(rss), true]
    ],
    workers
  )
  const bins = totals.batchSizes.map((number, bin) => [2 ** bin, number]).filter(([, number]) => number > 0)
  const batches = bins.reduce((sum, [, number]) => sum + number, 0)
  fillTable(
    "batches",
    "Batches: how many requests one receive call found waiting",
    [
      ["Requests at once", ([least]) => (least === 1 || least === 64 ? least : `${least} to ${2 * least - 1}`)],
      ["Batches", ([, number]) => count(number), true],
      ["Share", ([, number]) => share(number, batches, 1), true]
    ],
    bins
  )
  fillTable(
    "clients",
    "Loudest clients",
    [
      ["Address", ({ address }) => address],
      ["Packets", ({ packets }) => count(packets), true],
      ["Between them", ({ interval }) => seconds(interval ?? Number.NaN), true],
      ["Version", ({ version }) => version, true],
      ["Limited", ({ limited }) => (limited ? "yes" : "no")],
      ["Last", ({ last }) => utc(last)]
    ],
    clients?.entries ?? []
  )
}

const showCertificates = ({ status }) => {
  const own = [
    ...new Map(status.ntsKe.flatMap((one) => one.certificates).map((one) => [one.fingerprint, one])).values()
  ]
  fillTable(
    "certificates",
    "Certificates",
    [
      ["Names", ({ names }) => names.join(", ")],
      ["Ends", ({ notAfter }) => utc(notAfter)],
      ["SHA-256", ({ fingerprint }) => `${fingerprint.slice(0, 16)}…`]
    ],
    own
  )
}

const stateOf = ({ drained, ready, live, reason }) =>
  !live ? "not heard" : drained ? "drained" : ready ? "ready" : `not ready: ${reason}`

const showFleet = (cluster) => {
  fillFacts("fleet-facts", [
    ["Leader", cluster.leader ?? "none"],
    ["Term", cluster.term],
    ["Log", cluster.log.adapter ?? "out of reach"],
    ["This node is behind by", `${count(Math.max(0, cluster.log.lastSeq - cluster.log.foldedSeq))} events`],
    ["Events put aside", count(cluster.log.quarantined)]
  ])
  const act = ({ node, drained }) => proposal(drained ? "/cluster/undrain" : "/cluster/drain", { node })
  fillTable(
    "members",
    "Members",
    [
      ["Node", ({ node }) => (node === cluster.leader ? `${node}, leads` : node)],
      ["Version", ({ version }) => version],
      ["State", stateOf],
      ["Synchronised", ({ health }) => (health === null ? "–" : health.synchronised ? "yes" : "no")],
      ["Follows", ({ node }) => cluster.clocks.find((clock) => clock.node === node)?.peer],
      ["Workers", ({ health }) => health?.workers, true],
      ["NTS generation", ({ health }) => health?.ntsGeneration, true],
      ["Symmetric set", ({ health }) => health?.symmetricSet, true],
      ["Heard", ({ heard }) => utc(heard)],
      ...(mayAct() ? [["Act", act]] : [])
    ],
    cluster.members
  )
}

/** The node's name in its cluster, which may be another than the machine's. */
let ownName

/** The event by which somebody is followed. */
let decision

const learnFollowed = ({ node, clocks }, events) => {
  const own = clocks.find((clock) => clock.node === node)
  decision = events.findLast(({ id }) => id === own?.event)
  ownName = node
}

const show = (picture) => {
  const { status, unready, at } = picture
  const name = ownName === undefined || ownName === status.node ? status.node : `${ownName} on ${status.node}`
  element("node").textContent = `${name} · Meridian ${status.version}`
  document.title = `${name} · Meridian`
  say(unready.length === 0 ? "ready" : `not ready: ${unready.join("; ")}`, unready.length === 0 ? "good" : "bad")
  element("times").textContent = `${utc(at)} · ${new Date(at * 1e3).toLocaleString()} here · up ${age(status.uptime)}`
  showClock(picture)
  showTraffic(picture)
  showCertificates(picture)
  const news = clusterNews(picture)
  if (news !== seen) void askForCluster()
  seen = news
}

/** What a picture says of the cluster: where it is another than before, there is something to ask for. */
let seen

const clusterNews = ({ status: { coordinator: it } }) =>
  it === null ? "" : [it.foldedSeq, it.lastSeq, it.leader, it.term, it.adapter, it.reason].join(" ")

let stream = new AbortController()

/** Reads events until the stream ends. fetch and not EventSource, which can bring no token. */
const follow = async () => {
  stream = new AbortController()
  const response = await fetch("/api/v1/events", { headers: headers(), signal: stream.signal })
  if (response.status === 401) {
    element("access").hidden = false
    element("access-words").textContent = "Token of this node"
  }
  if (!response.ok) throw new Error(response.status === 401 ? "a token is needed" : `refused with ${response.status}`)
  void askForCluster()
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ""
  for (;;) {
    const { value, done } = await reader.read()
    if (done) throw new Error("the node ended the stream")
    text += value
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const data = /^data: (.*)$/m.exec(text.slice(0, end))?.[1]
      text = text.slice(end + 2)
      if (data !== undefined) show(JSON.parse(data))
    }
  }
}

let retry

const followForEver = () =>
  follow().catch((error) => {
    if (error.name !== "AbortError") say(`no figures: ${error.message}`, "bad")
    clearTimeout(retry)
    retry = setTimeout(() => void followForEver(), error.name === "AbortError" ? 0 : RETRY_MS)
  })

const current = () => (views.includes(location.hash.slice(1)) ? location.hash.slice(1) : "clock")

let isAsking = false
/** There was news while an answer was awaited. */
let asksAgain = false
/** Place of the last event that the node knew of when the log was read. */
let readUpTo

/** The cluster and what is new in the log, for the views that show them. */
const askForCluster = async () => {
  asksAgain = isAsking
  if (isAsking || document.hidden || current() === "traffic") return
  isAsking = true
  try {
    const cluster = await ask("/api/v1/cluster")
    const events = readUpTo === cluster.log.lastSeq ? knownEvents() : await readEvents()
    readUpTo = cluster.log.lastSeq
    showKeys(cluster, events)
    showFleet(cluster)
    showMarks(events)
    learnFollowed(cluster, events)
  } catch (error) {
    fillFacts("fleet-facts", [["Cluster", error.message]])
    showMarks(knownEvents())
  } finally {
    isAsking = false
    if (asksAgain) void askForCluster()
  }
}

const turn = () => {
  element("act-state").textContent = ""
  const view = current()
  for (const name of views) element(name).hidden = name !== view
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${view}`) link.setAttribute("aria-current", "page")
    else link.removeAttribute("aria-current")
  }
  if (view === "history") openHistory()
  void askForCluster()
}

startActs(
  () => void askForCluster(),
  () => stream.abort()
)
startHistory()
addEventListener("hashchange", turn)
setInterval(() => void askForCluster(), CLUSTER_MS)
document.addEventListener("visibilitychange", () => void askForCluster())
turn()
void learnOperator()
void followForEver()
