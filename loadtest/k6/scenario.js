// Runs the loads of a plan that loadtest/fleet/k6-run.ts writes. Each kind of load is a function below.
import { Client } from "k6/x/ntp"
import exec from "k6/execution"
import { Counter } from "k6/metrics"

const plan = JSON.parse(open(__ENV.PLAN))
const HERD_SECONDS = 0.05
const MINUTE_MS = 60_000

export const options = {
  scenarios: plan.scenarios,
  thresholds: plan.thresholds,
  setupTimeout: "30s",
  noConnectionReuse: true
}

/** Asked twice and not answered; a key exchange tried twice and not made. */
const failures = new Counter("ntp_failures")
const givenUp = new Counter("ntske_given_up")

/** The runner counts from this line on. */
export function setup() {
  console.log("load begins")
}

const load = () => plan.loads[__ENV.LOAD]
const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds))
let client

export async function flow() {
  const { client: settings, rates, seconds } = load()
  client = new Client(settings)
  for (const rate of rates) {
    exec.vu.metrics.tags.step = String(rate)
    await client.flow(rate, seconds / rates.length)
  }
}

export async function herd() {
  const { client: settings, requests } = load()
  client = new Client(settings)
  await sleep(MINUTE_MS - (Date.now() % MINUTE_MS))
  await client.flow(requests / HERD_SECONDS, HERD_SECONDS)
}

export async function hostile() {
  const { client: settings, rate, seconds } = load()
  client = new Client(settings)
  await client.hostile(rate, seconds)
}

let asked = 0
export async function ask() {
  const { client: settings, renew } = load()
  if (renew > 0 && asked > 0 && asked % renew === 0) client = undefined
  asked += 1
  client ??= new Client(settings)
  let answer = await client.query()
  if (!answer.ok) answer = await client.query()
  if (!answer.ok) failures.add(1)
}

export async function exchange() {
  client ??= new Client(load().client)
  let made = await client.exchange()
  if (!made.ok) made = await client.exchange()
  if (!made.ok) givenUp.add(1)
}
