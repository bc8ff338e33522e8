import { clockEvent } from "../test/sample-events.ts"
import { judgeEvent } from "@meridian/events/catalogue"
const N = 20_000
const bodies = Array.from({length:N},(_,i)=>JSON.stringify([clockEvent("node-a",i+1)]))
let s:any
const m = process.argv[2]
for (let k=0;k<15;k++) { for (let i=0;i<N;i++) { 
 if (m==="parse") s = JSON.parse(bodies[i]!); else if (m==="judge") s = judgeEvent(JSON.parse(bodies[i]!)[0])
 else if (m==="nop") { s = JSON.parse(bodies[i]!); for (let j=0;j<s.length;j++) { const e = s[j]; if (e.subject!=="x") s[j]=e } } } }
