/** Broadcast, multicast and manycast of a node: whom it tells the time to, whom it hears, and whom it answers at groups. */
import type { DisciplineConfiguration } from "@meridian/ipc/discipline-report"
import { PlannedAdmission } from "@meridian/ipc/planned-admission"
import * as onUse from "@meridian/system/on-use"
import { fromUnix } from "@meridian/time/timestamp"
import { BroadcastServers, type BroadcastServersSurroundings } from "./broadcast-servers.ts"
import { Broadcasts, type BroadcastSurroundings } from "./broadcasts.ts"
import { ManycastAnswers, type ManycastAnswersSurroundings } from "./manycast-answers.ts"

type OneToManySurroundings = BroadcastSurroundings &
  Omit<BroadcastServersSurroundings, "stamp"> &
  Omit<ManycastAnswersSurroundings, "admission">

export class OneToMany {
  /** Who may ask at multicast groups: the compiled access list and its limits; undefined: everybody. */
  access: Uint8Array | undefined
  private readonly broadcasts: Broadcasts
  private readonly servers: BroadcastServers | undefined
  private readonly answers: ManycastAnswers | undefined

  constructor({ telling, hearing, answering }: DisciplineConfiguration, surroundings: OneToManySurroundings) {
    this.broadcasts = new Broadcasts(telling ?? [], surroundings)
    // As clients do, what is heard is measured against CLOCK_REALTIME.
    if (hearing) this.servers = new BroadcastServers(hearing, { ...surroundings, stamp: fromUnix })
    const admission = new PlannedAdmission(() => onUse.crypto().randomInt(2 ** 31), 1)
    if (answering)
      this.answers = new ManycastAnswers(answering, { ...surroundings, admission: () => admission.by(this.access) })
  }

  /** The key of the broadcast server that the set of associations is being asked about; null for none. */
  get keyId(): number | null {
    return this.servers?.keyId ?? null
  }

  start(): void {
    this.broadcasts.start()
    this.servers?.start()
    this.answers?.start()
  }

  stop(): void {
    this.broadcasts.stop()
    this.servers?.stop()
    this.answers?.stop()
  }
}
