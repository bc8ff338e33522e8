// Draws the plots of a load test's report. Runs in the page, after uPlot; the figures are in the page.
const figures = JSON.parse(document.getElementById("figures").textContent)
const style = getComputedStyle(document.documentElement)
const ink = style.getPropertyValue("--ink").trim()
const line = style.getPropertyValue("--line").trim()
const COLOURS = ["#3b7dd8", "#d9822b", "#2f9e62", "#a45ad1", "#c23b4e"]
const WIDTH = Math.min(940, document.body.clientWidth - 20)
const HEIGHT = 210

const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } }
const short = (value) =>
  value === null || value === undefined
    ? ""
    : Math.abs(value) >= 1000
      ? `${+(value / 1000).toPrecision(4)}k`
      : String(+value.toPrecision(3))

/** Upright lines where something happened. */
const marks = {
  hooks: {
    draw: (plot) => {
      const { ctx, bbox } = plot
      ctx.save()
      ctx.strokeStyle = ink
      ctx.globalAlpha = 0.5
      ctx.setLineDash([4, 4])
      for (const { at } of figures.marks) {
        const x = plot.valToPos(at, "x", true)
        ctx.beginPath()
        ctx.moveTo(x, bbox.top)
        ctx.lineTo(x, bbox.top + bbox.height)
        ctx.stroke()
      }
      ctx.restore()
    }
  }
}

const draw = (title, times, series, { logarithmic = false, unit = "" } = {}) => {
  const shown = series.filter(({ values }) => values.some((value) => value !== null && value !== undefined))
  if (shown.length === 0 || times.length === 0) return
  const figure = document.createElement("figure")
  const caption = document.createElement("h2")
  caption.textContent = title
  figure.append(caption)
  document.getElementById("plots").append(figure)
  const positive = (value) => (value > 0 ? value : null)
  new uPlot(
    {
      width: WIDTH,
      height: HEIGHT,
      plugins: [marks],
      scales: {
        x: { time: false },
        y: logarithmic ? { distr: 3 } : { range: (_, least, most) => [Math.min(0, least), Math.max(1, most * 1.05)] }
      },
      axes: [
        { ...axis, values: (_, splits) => splits.map((value) => `${value} s`) },
        { ...axis, size: 64, values: (_, splits) => splits.map((value) => (value === null ? "" : short(value) + unit)) }
      ],
      series: [
        { label: "at", value: (_, value) => (value === null ? "" : `${value} s`) },
        ...shown.map(({ name, width = 1.5 }, index) => ({
          label: name,
          stroke: COLOURS[index % COLOURS.length],
          width,
          value: (_, value) => (value === null || value === undefined ? "–" : short(value) + unit)
        }))
      ]
    },
    [times, ...shown.map(({ values }) => (logarithmic ? values.map(positive) : values))],
    figure
  )
}

const { seconds, nodes, ramp } = figures
const times = seconds.map(({ at }) => at)
const of = (name) => seconds.map((second) => second[name])
const some = (name) => (seconds.some((second) => second[name] > 0) ? of(name) : of(name).map(() => null))

draw("Requests and replies a second", times, [
  { name: "asked", values: of("requests") },
  { name: "answered", values: of("replies") }
])
draw("Without a good answer, a second", times, [
  { name: "lost", values: of("lost") },
  { name: "wrong", values: some("wrong") },
  { name: "kiss-o'-death", values: some("kod") },
  { name: "failed twice", values: some("failures") }
])
draw(
  "Time to a reply",
  times,
  [
    { name: "p50", values: of("p50") },
    { name: "p99", values: of("p99") }
  ],
  { logarithmic: true, unit: " ms" }
)
draw("Key exchanges a second", times, [
  { name: "made", values: some("handshakes") },
  { name: "failed", values: some("handshakeFailures") }
])
draw("Time of a key exchange", times, [{ name: "p99", values: of("handshakeP99") }], { logarithmic: true, unit: " ms" })
const nodeTimes = nodes.map(({ at }) => at)
const each = (pick) =>
  (nodes[0]?.routed ?? []).map((_, index) => ({
    name: `n${index + 1}`,
    values: nodes.map((second) => pick(second, index))
  }))
draw(
  "Replies a second of each node, by its own count",
  nodeTimes,
  each((second, index) => second.replies[index])
)
draw("Nodes that clients are sent to", nodeTimes, [
  { name: "nodes", values: nodes.map(({ routed }) => routed.filter(Boolean).length), width: 2 }
])
if (ramp !== null) {
  const rates = ramp.map(({ rate }) => rate)
  draw("By rate asked for: sent, a second", rates, [{ name: "sent", values: ramp.map(({ sent }) => sent) }])
  draw("By rate asked for: not answered in time, of a thousand", rates, [
    { name: "lost", values: ramp.map(({ lost }) => 1000 * lost) },
    { name: "late", values: ramp.map(({ late }) => 1000 * late) }
  ])
}

const list = document.getElementById("marks")
for (const { at, name } of figures.marks) {
  const item = document.createElement("li")
  item.textContent = `${at.toFixed(1)} s: ${name}`
  list.append(item)
}
if (figures.marks.length === 0) list.closest("section").remove()
