/** Processor time of a process of this machine, from /proc/PID/stat (proc_pid_stat(5)). */
import { readFileSync } from "@meridian/system/files"

/** USER_HZ, which Linux fixes for programs at 100 whatever the kernel's own tick. */
const TICKS_PER_SECOND = 100
/** utime and stime, counted from the field behind the name, which may hold anything. */
const [UTIME, STIME] = [11, 12]

/** Seconds in user and system mode; undefined where the process is gone or the system does not say. */
export const processorSeconds = (pid: number): number | undefined => {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1")
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ")
    const seconds = (Number(fields[UTIME]) + Number(fields[STIME])) / TICKS_PER_SECOND
    return Number.isFinite(seconds) ? seconds : undefined
  } catch {
    return undefined
  }
}
