import { sqliteStore } from "../src/sqlite.ts"
import { overStore } from "../src/commit-store.ts"
import { openCommit } from "../src/commit.ts"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
const store = sqliteStore({ file: "/tmp/h/log-scratch/y.db" }); 
const log = overStore(store)
const mode = process.argv[2]
const t = (n:number, c:NodeJS.CpuUsage, s:number) => { const d=process.cpuUsage(c); console.log(n, Math.round(n/(performance.now()-s)*1000)+"/s", (d.user/n).toFixed(2), (d.system/n).toFixed(2)) }
for (let k=0;k<4;k++) { let n=0; const c=process.cpuUsage(), s=performance.now()
 if (mode==="gen") for await (const b of store.read({from:1})) n+=b.commits.length
 if (mode==="open") for await (const b of store.read({from:1})) for (const x of b.commits) { openCommit(x,undefined); n++ }
 if (mode==="loop") for (let i=1;i<300000;i+=500) for (const x of (store as any).rows(i)) { openCommit(x,undefined); n++ }
 if (mode==="stream") await Effect.runPromise(Stream.runForEach(log.read({from:1}), b => Effect.sync(() => { n += b.events.length })))
 if (mode==="iter") await (async()=>{ const it = Stream.toAsyncIterable(log.read({from:1})); for await (const b of it) n += b.events.length })()
 t(n,c,s) }
