import { DatabaseSync } from "node:sqlite"
const db = new DatabaseSync("/tmp/h/log-scratch/y.db")
const m = process.argv[2]!
const st = db.prepare("SELECT seq, subject, body FROM commits WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT 500"); st.setReturnArrays(true)
let s:any
for (let k=0;k<3;k++) for (let i=1;i<300000;i+=500) { const rows = st.all(i,400000) as any
  if (m.includes("tick")) await null
  if (m.includes("imm")) await new Promise(r=>setImmediate(r))
  for (const r of rows) { if (m.includes("parse")) s = JSON.parse(r[2]) } }
