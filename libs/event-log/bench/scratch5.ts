import "effect/schema/SchemaJITCompiler/enable"
import * as Schema from "effect/Schema"
import { judgeEvent } from "@meridian/events/catalogue"
import { clock, clockInitial, SourceReachabilityChanged, SystemPeerChosen } from "@meridian/events/clock"
import { isInstant, fromIso } from "@meridian/events/event"
import { familyOf } from "@meridian/events/catalogue"
import { clockEvent } from "../test/sample-events.ts"
const N = 20_000
const time = (name:string, f:()=>unknown) => { let best=1e9; for (let k=0;k<15;k++){ const s=performance.now(); f(); best=Math.min(best,performance.now()-s) } console.log(name, (best*1000/N).toFixed(3),"µs") }
const mk = (i:number):any => JSON.parse(JSON.stringify(clockEvent("node-a",i+1)))
const m = { source: "192.0.2.1", stratum: 2, reach: 255, offset: -0.000123, delay: 0.0123, dispersion: 0.0004, jitter: 0.00001 }
const mk2 = (i:number):any => JSON.parse(JSON.stringify({...clockEvent("node-a",i+1), type:"SystemPeerChosen", data:{peer:"192.0.2.1",previous:null,reason:"least root distance",measurements:[m,m,m,m]}}))
const a = Array.from({length:N},(_,i)=>mk(i)), b = Array.from({length:N},(_,i)=>mk2(i))
console.log(JSON.stringify([a[0]]).length, JSON.stringify([b[0]]).length)
const isA = Schema.is(SourceReachabilityChanged.schema), isB = Schema.is(SystemPeerChosen.schema)
let s:any; const bod = a.map(x=>JSON.stringify([x])), bod2 = b.map(x=>JSON.stringify([x]))
const TYPE = /^[A-Z][A-Za-z]{2,63}$/
const ID = /^[0-9A-Za-z_.:-]{1,128}$/
const NODE_NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
time("is A", () => { for (const e of a) s = isA(e.data) })
time("is B", () => { for (const e of b) s = isB(e.data) })
time("TYPE", () => { for (const e of a) s = TYPE.test(e.type) })
time("ID", () => { for (const e of a) s = ID.test(e.id) })
time("NODE", () => { for (const e of a) s = NODE_NAME.test(e.node) })
time("familyOf", () => { for (const e of a) s = familyOf(e.subject) })
time("isInstant", () => { for (const e of a) s = isInstant(e.time) })
time("fromIso", () => { for (const e of a) s = fromIso(e.time) })
time("judge A", () => { for (const e of a) s = judgeEvent(e) })
time("judge B", () => { for (const e of b) s = judgeEvent(e) })
time("evolve A", () => { let st:any = clockInitial("node-a"); for (const p of a) st = clock.evolve(st,p); s=st })
time("parse A", () => { for (let i=0;i<N;i++) s = JSON.parse(bod[i]!) })
time("parse B", () => { for (let i=0;i<N;i++) s = JSON.parse(bod2[i]!) })
