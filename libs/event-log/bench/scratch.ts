import { judgeEvent } from "@meridian/events/catalogue"
import { clock, clockInitial } from "@meridian/events/clock"
import { isInstant } from "@meridian/events/event"
import { openCommit } from "../src/commit.ts"
import { clockEvent } from "../test/sample-events.ts"
const N = 50_000
const bodies = Array.from({length:N},(_,i)=>JSON.stringify([clockEvent("node-a",i+1)]))
console.log(bodies[0]!.length)
const time = (name:string, f:()=>unknown) => { let best=1e9; for (let k=0;k<7;k++){ const s=performance.now(); f(); best=Math.min(best,performance.now()-s) } console.log(name, (best*1000/N).toFixed(3),"µs") }
let parsed: any[] = []
parsed = bodies.map(b=>JSON.parse(b)); let sink:any; time("parse each", () => { for (const b of bodies) sink = JSON.parse(b) })
const nonce = '"abcdefabcdefabcdefabcdefabcdef12"'
for (const P of [10,100,1000])
time("parse joined "+P, () => { for (let i=0;i<N;i+=P) { const v = JSON.parse("["+bodies.slice(i,i+P).join(","+nonce+",")+"]"); for (const x of v) sink = x } })
time("judge", () => { for (const p of parsed) judgeEvent(p[0]) })
time("open", () => { for (let i=0;i<N;i++) openCommit({seq:i,subject:"clock.node-a",body:bodies[i]!},undefined) })
time("instant", () => { for (const p of parsed) isInstant(p[0].time) })
time("evolve", () => { let s:any = clockInitial("node-a"); for (const p of parsed) s = clock.evolve(s,p[0]) })
time("stringify", () => { for (const p of parsed) JSON.stringify(p) })
const bufs = bodies.map(b=>Buffer.from(b))
const dec = new TextDecoder()
time("decode TextDecoder", () => { for (const b of bufs) dec.decode(b) })
time("decode utf8Slice", () => { for (const b of bufs) b.utf8Slice(0,b.length) })
time("decode latin1Slice", () => { for (const b of bufs) b.latin1Slice(0,b.length) })
