import { DatabaseSync } from "node:sqlite"
import { clockEvent } from "../test/sample-events.ts"
import { rmSync } from "node:fs"
const N = 200_000
const file="/tmp/h/log-scratch/x.db"
rmSync(file,{force:true})
const db = new DatabaseSync(file)
db.exec("PRAGMA journal_mode=WAL; CREATE TABLE commits (seq INTEGER PRIMARY KEY AUTOINCREMENT, subject TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, id TEXT NOT NULL, stored INTEGER NOT NULL, body TEXT NOT NULL) STRICT; CREATE UNIQUE INDEX IF NOT EXISTS commits_by_version ON commits (subject, first);")
const ins = db.prepare("INSERT INTO commits (subject,first,last,id,stored,body) VALUES (?,?,?,?,0,?)")
db.exec("BEGIN"); for (let i=1;i<=N;i++) ins.run("clock.node-a",i,i,"node-a-"+i,JSON.stringify([clockEvent("node-a",i)])); db.exec("COMMIT")
const time = (name:string, f:()=>unknown) => { let best=1e9; for (let k=0;k<5;k++){ const c=process.cpuUsage(); f(); const d=process.cpuUsage(c); best=Math.min(best,d.user+d.system) } console.log(name, (best/N).toFixed(3),"µs") }
const P=2000
for (const B of [500,2000]) {
const s = db.prepare("SELECT seq, subject, body FROM commits WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?")
time("all objects "+B, () => { for (let i=1;i<=N;i+=B) s.all(i,N,B) })
const a = db.prepare("SELECT seq, subject, body FROM commits WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?"); a.setReturnArrays(true)
time("all arrays "+B, () => { for (let i=1;i<=N;i+=B) a.all(i,N,B) })
const b1 = db.prepare("SELECT body FROM commits WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?"); b1.setReturnArrays(true)
time("all arrays body only "+B, () => { for (let i=1;i<=N;i+=B) b1.all(i,N,B) })
const g = db.prepare("SELECT group_concat(seq), group_concat(subject, char(10)), group_concat(body, char(10)) FROM (SELECT seq,subject,body FROM commits WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?)"); g.setReturnArrays(true)
time("group_concat 3 "+B, () => { for (let i=1;i<=N;i+=B) g.get(i,N,B) })
time("group_concat 3 + split "+B, () => { for (let i=1;i<=N;i+=B) { const r=g.get(i,N,B) as any; r[0].split(","); r[1].split("\n"); r[2].split("\n") } })
const g1 = db.prepare("SELECT '[' || group_concat(body, ',') || ']' FROM (SELECT seq,subject,body FROM commits WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?)"); g1.setReturnArrays(true)
time("group_concat 1 "+B, () => { for (let i=1;i<=N;i+=B) g1.get(i,N,B) })
let sink
time("group_concat 1 parse "+B, () => { for (let i=1;i<=N;i+=B) sink= JSON.parse((g1.get(i,N,B) as any)[0]) })
time("all arrays parse each"+B, () => { for (let i=1;i<=N;i+=B) for (const r of a.all(i,N,B) as any) sink= JSON.parse(r[2]) })
}
