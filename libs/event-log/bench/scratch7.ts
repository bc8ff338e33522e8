import { clockEvent } from "../test/sample-events.ts"
const N = 20_000
const bodies = Array.from({length:N},(_,i)=>JSON.stringify([clockEvent("node-a",i+1)]))
const time = (name:string, f:()=>unknown) => { let best=1e9; for (let k=0;k<20;k++){ const s=performance.now(); f(); best=Math.min(best,performance.now()-s) } console.log(name, (best*1000/N).toFixed(3),"µs") }
let s:any
time("each", () => { for (const b of bodies) s = JSON.parse(b) })
for (const P of [20,100,500]) {
const nested = Array.from({length:N/P},(_,i)=>"["+bodies.slice(i*P,i*P+P).join(",")+"]")
const flat = Array.from({length:N/P},(_,i)=>"["+bodies.slice(i*P,i*P+P).map(x=>x.slice(1,-1)).join(",")+"]")
const bodyObj = bodies.map(x=>x.slice(1,-1))
time("nested "+P, () => { for (const b of nested) s = JSON.parse(b) })
time("flat "+P, () => { for (const b of flat) s = JSON.parse(b) })
time("flat + join "+P, () => { for (let i=0;i<N;i+=P) { let t="["; for (let k=0;k<P;k++) t += (k?",":"")+bodies[i+k]!.slice(1,-1); s = JSON.parse(t+"]") } })
}
const data = bodies.map(b=>JSON.stringify(JSON.parse(b)[0].data))
time("data only", () => { for (const b of data) s = JSON.parse(b) })
