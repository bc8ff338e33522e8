import { jetstream, jetstreamManager, DeliverPolicy, AckPolicy } from "@nats-io/jetstream"
import { nanos } from "@nats-io/nats-core"
import { connect } from "@nats-io/transport-node"
import { natsServers, startNats } from "../test/nats-server.ts"
import { clockEvent } from "../test/sample-events.ts"
const v = process.argv[2] ?? "2.10"
const N = 300_000
const cluster = await startNats(natsServers().found.find(i=>i.version===v)!, 1)
const nc = await connect({ servers: [...cluster.urls], noAsyncTraces: true })
const m = await jetstreamManager(nc)
await m.streams.add({ name:"LOG", subjects:["log.>"], allow_direct:true })
const js = jetstream(nc,{timeout:10000})
let s = performance.now()
for (let i=1;i<=N;i+=1000) await Promise.all(Array.from({length:1000},(_,k)=>js.publish("log.clock.node-a", JSON.stringify([clockEvent("node-a",i+k)]), {msgID:"clock.node-a:"+(i+k), expect:{streamName:"LOG", lastSubjectSequence:i+k-1}})))
console.log("fill", N/(performance.now()-s)*1000)
const time = async (name:string, f:()=>Promise<unknown>) => { for (let k=0;k<4;k++) { const c=process.cpuUsage(); const s=performance.now(); await f(); const d=process.cpuUsage(c); console.log(name, Math.round(N/(performance.now()-s)*1000)+"/s", ((d.user+d.system)/N).toFixed(2)+"µs cpu") } }
await time("push core", () => new Promise<void>(async done => {
  let n=0
  const inbox = "_INBOX.x"+Math.random().toString(36).slice(2)
  const sub = nc.subscribe(inbox, { callback: (e,msg) => { if (msg.reply?.startsWith("$JS.FC")) { msg.respond(); return }
    if (msg.data.length===0) { return }
    n++; if (n===N) { sub.unsubscribe(); done() } } })
  await m.consumers.add("LOG", { deliver_subject: inbox, ack_policy: AckPolicy.None, deliver_policy: DeliverPolicy.All, flow_control:true, idle_heartbeat:nanos(5000), mem_storage:true, num_replicas:1, inactive_threshold:nanos(30e3), max_deliver:1 } as any)
}))
for (const max of [5000, 500, 20000])
await time("pull consume callback "+max, () => new Promise<void>(async done => {
  let n=0
  const c = await js.consumers.get("LOG", {deliver_policy:DeliverPolicy.StartSequence, opt_start_seq:1, filter_subjects:"log.>"})
  const msgs = await c.consume({ max_messages:max, expires:5000, callback: (msg) => { n++; if (n===N) { msgs.stop(); done() } } })
}))
if (v==="2.15") await time("direct batch", async () => { let n=0; let next=1
  while (n<N) { await new Promise<void>((res)=>{ const inbox="_INBOX.y"+Math.random().toString(36).slice(2); const sub=nc.subscribe(inbox,{callback:(e,msg)=>{ if (msg.data.length===0) { sub.unsubscribe(); res(); return } n++; next++ }}); nc.publish("$JS.API.DIRECT.GET.LOG", JSON.stringify({seq:next,batch:5000,next_by_subj:"log.>",max_bytes:8e6}), {reply:inbox}) }) }
})
await nc.close(); await cluster.stop()
