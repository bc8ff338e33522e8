/**
 * Who starts beside a process that serves in its place gives way to it: a node on one core that answers for half of its capacity has half of
 * that core left for starts, and several that share it evenly leave the one that serves too little. Where nobody serves, nobody gives way.
 */
import { mayRaisePriorities, ownPriority, permitPriority, setBack, setEveryThread } from "@meridian/system/priority"

/** On a core that is busy throughout, one that gives way gets a tenth: after this it takes its share. */
export const GIVES_WAY_SECONDS = 10
/** By nice value: the weight of ten processes that give way is that of one that serves. */
const STEP = 10
const LOWEST = 19

class StartPriority {
  /** Whether processes that the program before this one has left answer for this node while it starts. */
  othersServe = false
  /** What all processes of the node have, by nice value; undefined until it is settled. */
  private own: number | undefined
  /** Whether who gives way can take part again. */
  private isPermitted = false

  /** While this process is root still. */
  settle(othersServe: boolean): void {
    this.othersServe = othersServe
    this.own = ownPriority()
    this.isPermitted = permitPriority(this.own)
  }

  /** Has a process that was started a moment ago give way. */
  giveWay(pid: number): void {
    if (this.own === undefined || pid <= 0) return
    // Who could not come back would stay behind for as long as it runs.
    if (this.isPermitted || mayRaisePriorities()) setBack(pid, Math.min(LOWEST, this.own + STEP))
  }

  takePart(pid: number): void {
    if (this.own !== undefined && pid > 0) setEveryThread(pid, this.own)
  }
}

/** Of this node. Until it is settled nobody gives way. */
export const startPriority = new StartPriority()
