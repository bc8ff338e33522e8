/** The page: one stream of pictures, five views of it. */
import { movingPlot } from "/plots.js"
import { age, bytes, count, fillFacts, fillTable, seconds, utc } from "/rows.js"

const RETRY_MS = 2_000
const CLUSTER_MS = 2_000
const views = ["clock", "traffic", "keys", "fleet", "history"]
const element = (id) => document.getElementById(id)
const rate = (value) => `${count(Math.round(value))}/s`

const offsets = movingPlot(element("offset-plot"), "Offset of the followed source, and the claimed bound", seconds, {
  isCentred: true,
  least: 1e-6
})
const rates = movingPlot(element("rate-plot"), "Replies a second", rate, { isCentred: false, least: 10 })

const headers = () => {
  const token = sessionStorage.getItem("token")
  return token === null ? {} : { authorization: `Bearer ${token}` }
}

const say = (text, kind) => {
  const state = element("state")
  if (state.textContent !== text) state.textContent = text
  state.className = kind
}

const showClock = ({ status, tracking, sources }) => {
  const { clock } = status
  const bound = clock.synchronised ? clock.rootDelay / 2 + clock.rootDispersion : undefined
  const followed = sources.find(({ address }) => address === tracking?.systemPeer)
  offsets.add(followed?.offset ?? Number.NaN, bound)
  fillFacts("clock-facts", [
    ["Follows", tracking?.systemPeer ?? clock.source],
    ["Why", followed?.reason ?? tracking?.state],
    ["Stratum", clock.stratum],
    ["Claimed bound", seconds(bound)],
    ["System clock is off by", seconds(tracking?.offset ?? Number.NaN)],
    ["Frequency", Number.isFinite(tracking?.frequency) ? `${tracking.frequency.toFixed(3)} ppm` : "–"],
    ["Last update", utc(tracking?.referenceTime ?? undefined)],
    ["Steps", count(tracking?.steps)]
  ])
  fillTable(
    "sources",
    "Sources",
    [
      ["Source", ({ name, address }) => (name === null || name === address ? address : `${name} (${address})`)],
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

const showTraffic = ({ status, clients }) => {
  const { totals, workers } = status
  rates.add(totals.repliedPerSecond)
  fillFacts("traffic-facts", [
    ["Requests", rate(totals.receivedPerSecond)],
    ["Replies", rate(totals.repliedPerSecond)],
    ["Requests since the start", count(totals.received)],
    ["Lost in the kernel's queue", count(totals.overflow)],
    ["Clients known", count(clients?.known)]
  ])
  const kinds = (totals.kinds ?? []).flatMap((number, kind) =>
    number === 0 ? [] : [[`asked in version ${kind >> 3}, mode ${kind & 7}`, number]]
  )
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
      [
        "Share",
        ([, number]) => (totals.received > 0 ? `${((100 * number) / totals.received).toFixed(1)} %` : "–"),
        true
      ]
    ],
    [...outcomes.filter(([, number]) => number > 0), ...kinds]
  )
  fillTable(
    "workers",
    "Workers",
    [
      ["Worker", ({ index }) => index],
      ["State", ({ state }) => state],
      ["Requests", ({ receivedPerSecond }) => rate(receivedPerSecond), true],
      [
        "Share",
        ({ received }) => (totals.received > 0 ? `${((100 * received) / totals.received).toFixed(0)} %` : "–"),
        true
      ],
      ["Restarts", ({ restarts }) => restarts, true],
      ["Memory", ({ rss }) => bytes(rss), true]
    ],
    workers
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

const generationColumns = [
  ["Generation", ({ generation }) => generation],
  ["State", ({ status }) => status],
  ["From", ({ activation }) => utc(activation)],
  ["Until", ({ retirement }) => utc(retirement)],
  ["Event", ({ event }) => event]
]

const showKeys = ({ status }) => {
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

const showCluster = (cluster) => {
  fillTable("generations", "NTS master keys", generationColumns, cluster.ntsKeys)
  fillFacts("fleet-facts", [
    ["Leader", cluster.leader ?? "none"],
    ["Term", cluster.term],
    ["Log", cluster.log.adapter ?? "out of reach"],
    ["Behind by", `${count(Math.max(0, cluster.log.lastSeq - cluster.log.foldedSeq))} events`]
  ])
  fillTable(
    "members",
    "Members",
    [
      ["Node", ({ node }) => node],
      ["Version", ({ version }) => version],
      ["State", ({ drained, ready, reason }) => (drained ? "drained" : ready ? "ready" : `not ready: ${reason}`)],
      ["Synchronised", ({ health }) => (health === null ? "–" : health.synchronised ? "yes" : "no")],
      ["Workers", ({ health }) => health?.workers, true],
      ["NTS generation", ({ health }) => health?.ntsGeneration, true],
      ["Heard", ({ heard }) => utc(heard)]
    ],
    cluster.members
  )
}

const show = (picture) => {
  const { status, unready, at } = picture
  element("node").textContent = `${status.node} · Meridian ${status.version}`
  document.title = `${status.node} · Meridian`
  say(unready.length === 0 ? "ready" : `not ready: ${unready.join("; ")}`, unready.length === 0 ? "good" : "bad")
  element("times").textContent = `${utc(at)} · ${new Date(at * 1e3).toLocaleString()} here · up ${age(status.uptime)}`
  showClock(picture)
  showTraffic(picture)
  showKeys(picture)
}

/** Reads events until the stream ends. fetch and not EventSource, which can bring no token. */
const follow = async () => {
  const response = await fetch("/api/v1/events", { headers: headers() })
  element("access").hidden = response.status !== 401
  if (!response.ok) throw new Error(response.status === 401 ? "a token is needed" : `refused with ${response.status}`)
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

const followForEver = () =>
  follow().catch((error) => {
    say(`no figures: ${error.message}`, "bad")
    setTimeout(() => void followForEver(), RETRY_MS)
  })

const ask = async (path) => {
  const response = await fetch(path, { headers: headers() })
  const answer = await response.json()
  if (!response.ok) throw new Error(answer.error?.message ?? `refused with ${response.status}`)
  return answer
}

const current = () => (views.includes(location.hash.slice(1)) ? location.hash.slice(1) : "clock")

const askForCluster = async () => {
  if (["keys", "fleet"].includes(current()) && !document.hidden)
    await ask("/api/v1/cluster").then(showCluster, (error) => fillFacts("fleet-facts", [["Cluster", error.message]]))
}

const explain = async (event) => {
  event.preventDefault()
  const at = element("at").value
  element("moment-state").textContent = "asking"
  try {
    const found = await ask(`/api/v1/explain${at === "" ? "" : `?at=${encodeURIComponent(`${at}Z`)}`}`)
    element("moment-state").textContent = `At ${utc(found.at)}${found.future ? ", which is still to come" : ""}`
    fillFacts("moment-facts", [
      ["Leader", found.leader === null ? "none" : `${found.leader.node}, term ${found.leader.term}`],
      ["Since event", found.leader?.event]
    ])
    fillTable("moment-keys", "NTS master keys then", generationColumns, found.generations)
    fillTable(
      "moment-clocks",
      "Clocks then",
      [
        ["Node", ({ node }) => node],
        ["Followed", ({ peer }) => peer ?? "nobody"],
        ["Why", ({ reason }) => reason],
        ["Holdover", ({ holdover }) => (holdover ? "yes" : "no")],
        ["Event", ({ event }) => event]
      ],
      found.clocks
    )
  } catch (error) {
    element("moment-state").textContent = error.message
  }
}

const turn = () => {
  const view = current()
  for (const name of views) element(name).hidden = name !== view
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${view}`) link.setAttribute("aria-current", "page")
    else link.removeAttribute("aria-current")
  }
  void askForCluster()
}

element("access").addEventListener("submit", (event) => {
  event.preventDefault()
  sessionStorage.setItem("token", element("token").value)
  element("access").hidden = true
})
element("moment").addEventListener("submit", (event) => void explain(event))
element("at").value = new Date().toISOString().slice(0, 19)
addEventListener("hashchange", turn)
setInterval(() => void askForCluster(), CLUSTER_MS)
turn()
void followForEver()
