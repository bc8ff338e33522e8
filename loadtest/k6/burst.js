// Four users for ten seconds, each with eight source ports, in bursts of 50. See loadtest/README.md.
import { Client } from "k6/x/ntp"

export const options = {
  vus: 4,
  duration: "10s",
  thresholds: { ntp_replies: ["count>1000"], ntp_wrong: ["count==0"], ntp_req_duration: ["p(95)<50"] }
}

let client

export default async function () {
  client ??= new Client({
    target: __ENV.TARGET,
    sockets: 8,
    ...(__ENV.NTS ? { nts: { server: __ENV.NTS, ca: __ENV.CA } } : {})
  })
  await client.burst(50, 0)
}
