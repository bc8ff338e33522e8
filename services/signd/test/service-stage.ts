/** The service that answers Windows clients, in this process, on a socket of its own, with a clock that is right. */
import { bindSocket } from "@meridian/udp/udp-open"
import { SLOT_BYTES, type UdpSocket } from "@meridian/udp/udp"
import { type Admission, NtpServer } from "@meridian/protocol"
import { Leap, unsynchronisedCurve } from "@meridian/time/clock-curve"
import { systemClock } from "@meridian/clocks/system-clock"
import { servedMoment } from "@meridian/testkit/served-moment"
import { askAsWindows, type WindowsAnswer, type WindowsQuestion } from "@meridian/testkit/windows-client"
import type { PoolLimits } from "../src/client/signing-pool.ts"
import { SigningService } from "../src/client/signing-service.ts"

const ANSWER_MS = 2_000

/** Everybody is signed for. */
export const everybody: Admission = {
  sheds: false,
  begin: () => {},
  judge: () => undefined,
  judgeProof: () => undefined,
  signsFor: () => true,
  mayPeer: () => false
}

export class ServiceStage {
  readonly service: SigningService
  readonly reached: (string | undefined)[] = []
  private readonly socket: UdpSocket

  private constructor(socket: UdpSocket, path: string, limits: PoolLimits | undefined) {
    this.socket = socket
    const server = new NtpServer({ precision: -24, minimumPoll: 0, longestRequest: SLOT_BYTES })
    const { wall, monotonic } = systemClock()
    this.service = new SigningService({
      sockets: [socket],
      server,
      clock: {
        read: (moment, now) => {
          const reading = monotonic.seconds()
          const realtime = { seconds: 0, nanoseconds: 0 }
          wall.read(realtime)
          const curve = { ...unsynchronisedCurve(), stratum: 3, leap: Leap.none, deadline: reading + 10 }
          moment.set(servedMoment(curve, realtime, reading))
          now.set([realtime.seconds, reading])
        }
      },
      path,
      ...(limits !== undefined && { limits }),
      onReachable: (errno) => void this.reached.push(errno)
    })
    this.service.admission = everybody
    this.service.start()
  }

  static async open(path: string, limits?: PoolLimits): Promise<ServiceStage> {
    const socket = await bindSocket({ address: "127.0.0.1", port: 0 })
    return new ServiceStage(socket, path, limits)
  }

  get port(): number {
    return this.socket.port
  }

  ask(question: WindowsQuestion, patience = ANSWER_MS): Promise<WindowsAnswer> {
    return askAsWindows("127.0.0.1", this.port, question, patience)
  }

  close(): void {
    this.service.stop()
    this.service.pool.close()
    this.socket.close()
  }
}
