import { clockEvent } from "../test/sample-events.ts"
import { judgeEvent } from "@meridian/events/catalogue"
const N = 20_000
const bodies = Array.from({length:N},(_,i)=>JSON.stringify([clockEvent("node-a",i+1)]))
const time = (name:string, f:()=>unknown) => { let best=1e9; for (let k=0;k<40;k++){ const s=performance.now(); f(); best=Math.min(best,performance.now()-s) } console.log(name, (best*1000/N).toFixed(3),"µs") }
let s:any
const RE = /^\[\{"type":"([A-Z][A-Za-z]{2,63})","schema":([1-9][0-9]{0,2}),"id":"([0-9A-Za-z_.:-]{1,128})","time":"([0-9TZ:.-]{24})","node":"([a-z0-9-]{1,63})","cause":"([0-9A-Za-z_.:-]{1,128})","subject":"([a-z0-9.-]{1,80})","version":([1-9][0-9]{0,14}),"data":/
const quick = (b:string):any => { const m = RE.exec(b); if (m===null) return undefined
 return {type:m[1],schema:+m[2]!,id:m[3],time:m[4],node:m[5],cause:m[6],subject:m[7],version:+m[8]!,data:JSON.parse(b.slice(m[0].length,-2))} }
// indexOf-based
const keys = ['[{"type":"','","schema":',',"id":"','","time":"','","node":"','","cause":"','","subject":"','","version":',',"data":']
const cut = (b:string):any => { 
  if (!b.startsWith(keys[0]!)) return undefined
  let at = keys[0]!.length
  const f:string[] = []
  let e = b.indexOf('"', at); const type = b.slice(at,e); if (!b.startsWith(keys[1]!, e)) return undefined; at = e+keys[1]!.length
  e = b.indexOf(',', at); const schema = +b.slice(at,e); if (!b.startsWith(keys[2]!, e)) return undefined; at = e+keys[2]!.length
  e = b.indexOf('"', at); const id = b.slice(at,e); if (!b.startsWith(keys[3]!, e)) return undefined; at = e+keys[3]!.length
  e = b.indexOf('"', at); const tim = b.slice(at,e); if (!b.startsWith(keys[4]!, e)) return undefined; at = e+keys[4]!.length
  e = b.indexOf('"', at); const node = b.slice(at,e); if (!b.startsWith(keys[5]!, e)) return undefined; at = e+keys[5]!.length
  e = b.indexOf('"', at); const cause = b.slice(at,e); if (!b.startsWith(keys[6]!, e)) return undefined; at = e+keys[6]!.length
  e = b.indexOf('"', at); const subject = b.slice(at,e); if (!b.startsWith(keys[7]!, e)) return undefined; at = e+keys[7]!.length
  e = b.indexOf(',', at); const version = +b.slice(at,e); if (!b.startsWith(keys[8]!, e)) return undefined; at = e+keys[8]!.length
  return {type,schema,id,time:tim,node,cause,subject,version,data:JSON.parse(b.slice(at,-2))} }
time("parse each", () => { for (const b of bodies) s = JSON.parse(b) })
time("parse+judge", () => { for (const b of bodies) s = judgeEvent(JSON.parse(b)[0]) })
time("quick re", () => { for (const b of bodies) s = quick(b) })
time("quick re+judge", () => { for (const b of bodies) s = judgeEvent(quick(b)) })
time("cut", () => { for (const b of bodies) s = cut(b) })
time("cut+judge", () => { for (const b of bodies) s = judgeEvent(cut(b)) })
