/** The report of a load test: one HTML file with everything in it, plots by uPlot. */
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { join } from "node:path"
import type { Figures } from "./play.ts"

const require = createRequire(import.meta.url)
const uplot = (file: string): string => readFileSync(require.resolve(`uplot/dist/${file}`), "utf8")
const own = (file: string): string => readFileSync(join(import.meta.dirname, file), "utf8")

const escape = (text: string): string => text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`)
/** Within a script element nothing may end it. */
const embedded = (value: unknown): string => JSON.stringify(value).replaceAll("<", "\\u003c")

const rows = (figures: Figures): string =>
  figures.judged
    .map(
      ({ what, found, wanted, met }) =>
        `<tr class="${met ? "met" : "missed"}"><td>${met ? "met" : "not met"}</td><td>${escape(what)}</td><td>${escape(found)}</td><td>${escape(wanted)}</td></tr>`
    )
    .join("\n")

const reasons = (title: string, counts: Readonly<Record<string, number>>): string => {
  const all = Object.entries(counts)
  return all.length === 0 ? "" : `<p>${title}: ${all.map(([why, count]) => `${escape(why)} ${count}`).join(", ")}</p>`
}

export const reportPage = (figures: Figures): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(figures.scenario)}: ${figures.verdict ? "kept" : "not kept"}</title>
<style>
${uplot("uPlot.min.css")}
${own("report.css")}
</style>
</head>
<body>
<header>
<h1>${escape(figures.scenario)} <span class="${figures.verdict ? "met" : "missed"}">${figures.verdict ? "every bound was kept" : "not every bound was kept"}</span></h1>
<p>${escape(figures.shows)}</p>
<p class="facts">${escape(figures.at)}, ${figures.seconds.length} s of load, ${escape(figures.machine)}</p>
</header>
<main>
<table><thead><tr><th>verdict</th><th>what</th><th>found</th><th>wanted</th></tr></thead><tbody>
${rows(figures)}
</tbody></table>
${reasons("Lost", figures.lostWhy)}${reasons("Wrong", figures.wrongWhy)}${reasons("Dropped by the kernel", figures.dropped)}
<div id="plots"></div>
<section><h2>What happened</h2><ol id="marks"></ol></section>
</main>
<script>
${uplot("uPlot.iife.min.js")}
</script>
<script type="application/json" id="figures">${embedded(figures)}</script>
<script>
${own("report-page.js")}
</script>
</body>
</html>
`
