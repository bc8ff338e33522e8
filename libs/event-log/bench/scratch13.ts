import { jetstream, jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import * as Effect from "effect/Effect"
import { overStore } from "../src/commit-store.ts"
import { jetstreamStore } from "../src/jetstream.ts"
import { natsServers, startNats } from "../test/nats-server.ts"
import { clockEvent } from "../test/sample-events.ts"
const v = process.argv[2] ?? "2.15"
const cluster = await startNats(natsServers().found.find(i=>i.version===v)!, 1)
const nc = await connect({ servers: [...cluster.urls], noAsyncTraces: true })
const m = await jetstreamManager(nc)
for (const k of ["raw","id","exp","both","subj","full"]) await m.streams.add({ name:k, subjects:[k+".>"], ...(k==="full"?{allow_direct:true,deny_delete:true,discard:"new",max_bytes:1e9,duplicate_window:120e9}:{}) } as any)
const js = jetstream(nc,{timeout:10000})
const store = await jetstreamStore({connection:nc,prefix:"log",stream:"LOG",replicas:1,maxBytes:1e9,manage:true})
const log = overStore(store)
const body = (i:number) => JSON.stringify([clockEvent("node-b",i)])
let n: Record<string,number> = {}
const kinds: Record<string,(i:number)=>Promise<unknown>> = {
 raw: i => js.publish("raw.x", body(i)),
 id: i => js.publish("id.x", body(i), {msgID:"clock.node-b:"+i}),
 exp: i => js.publish("exp.x", body(i), {expect:{lastSubjectSequence:i-1}}),
 both: i => js.publish("both.x", body(i), {msgID:"clock.node-b:"+i, expect:{streamName:"both",lastSubjectSequence:i-1}}),
 full: i => js.publish("full.x", body(i), {msgID:"clock.node-b:"+i, expect:{streamName:"full",lastSubjectSequence:i-1}}),
 log: i => Effect.runPromise(log.append("clock.node-b",[clockEvent("node-b",i)],i-1)),
}
const t: Record<string,number[]> = {}; const cpu: Record<string,number[]> = {}
for (let r=0;r<30;r++) for (const [k,f] of Object.entries(kinds)) { const cc=process.cpuUsage(); const s=performance.now(); for (let i=0;i<150;i++) { n[k]=(n[k]??0)+1; await f(n[k]!) } (t[k]??=[]).push((performance.now()-s)/150); const d=process.cpuUsage(cc); (cpu[k]??=[]).push((d.user+d.system)/150) }
for (const [k,a] of Object.entries(t)) { a.sort((x,y)=>x-y); console.log(k, a[6]!.toFixed(3), a[0]!.toFixed(3), a[11]!.toFixed(3), "cpu", cpu[k]!.sort((x,y)=>x-y)[6]!.toFixed(1), cpu[k]![0]!.toFixed(1)) }
await nc.close(); await cluster.stop()
