import { sqliteStore } from "../src/sqlite.ts"
import { overStore } from "../src/commit-store.ts"
import { clockEvent } from "../test/sample-events.ts"
import { clock, clockInitial } from "@meridian/events/clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { DatabaseSync } from "node:sqlite"
import { existsSync } from "node:fs"
const N = 300_000
const file = "/tmp/h/log-scratch/y.db"
const fresh = !existsSync(file)
const store = sqliteStore({ file }); 
if (fresh) { const f = new DatabaseSync(file); const ins = f.prepare("INSERT INTO commits (subject,first,last,id,stored,body) VALUES (?,?,?,?,0,?)")
f.exec("BEGIN"); for (let i=1;i<=N;i++) ins.run("clock.node-a",i,i,"node-a-"+i,JSON.stringify([clockEvent("node-a",i)])); f.exec("COMMIT"); f.close() }
const log = overStore(store)
const rounds = Number(process.argv[2] ?? 8)
for (let k=0;k<rounds;k++) { let state:any = clockInitial("node-a"); let n=0
 const c=process.cpuUsage(), s=performance.now()
 await Effect.runPromise(Stream.runForEach(log.read({from:1}), b => Effect.sync(() => { for (const {event} of b.events) { state = clock.evolve(state, event as any); n++ } })))
 const d=process.cpuUsage(c); console.log(n, Math.round(n/(performance.now()-s)*1000)+"/s", (d.user/n).toFixed(2), (d.system/n).toFixed(2)) }
