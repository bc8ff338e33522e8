import { sqliteStore } from "../src/sqlite.ts"
import { openCommit } from "../src/commit.ts"
import { judgeEvent } from "@meridian/events/catalogue"
const store = sqliteStore({ file: "/tmp/h/log-scratch/y.db" }); 
const m = process.argv[2]!
let s:any
for (let k=0;k<3;k++) for await (const b of store.read({from:1})) for (const x of b.commits) { if (m==="parse") s = JSON.parse(x.body); if (m==="judge") s=judgeEvent(JSON.parse(x.body)[0]); if (m==="bytes") s = Buffer.byteLength(x.body); if (m==="charcode") s = x.body.charCodeAt(3); if (m==="len") s = x.body.length; if (m==="open") s = openCommit(x, undefined); if (m==="alloc") s = [x.seq, x.subject, {seq:x.seq}, "a"+x.seq] }
