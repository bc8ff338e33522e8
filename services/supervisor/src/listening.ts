/**
 * What the node listens on, all held by the supervisor: opened for the addresses that the rules come to, opened and closed as
 * the machine's addresses come and go. Each process inherits what there is when it starts, so a change takes new processes.
 *
 * An address that lines name is bound before it is there and stays bound when it goes, which takes no new process; one with a
 * zone needs its interface, and what rules match is not known before.
 */
import { closeSync } from "@meridian/system/files"
import { type InterfaceAddress, listenNow, type ListenRules } from "@meridian/config/listen"
import type { Legacy } from "./legacy.ts"
import type { SocketPlace } from "@meridian/ipc/serving-plan"
import { TcpListenError } from "@meridian/tls/tcp-listen"
import type { PacketKind } from "@meridian/udp/packet-steering"
import { UdpBindError } from "@meridian/udp/udp"
import { assertFree, formatListen, type Group, type HandedSockets, openGroup, openListenerGroup } from "./sockets.ts"

/** The sockets that the version before left are not those that this one needs. */
class LegacyMismatch extends Error {
  readonly _tag = "LegacyMismatch"
  constructor(place: string) {
    super(
      `the sockets that the version before left for ${place} are of another number than this one needs: start the node anew`
    )
  }
}

interface ListeningPlan {
  readonly rules: ListenRules
  readonly ports: readonly number[]
  readonly workers: number
  readonly packetKinds: readonly PacketKind[]
  readonly native: boolean
  /** NTS key establishment; undefined where it is not served. */
  readonly nts:
    | {
        readonly port: number
        readonly processes: number
        /** Whether NTP is answered on the loopback addresses alone. */
        readonly exchangeOnly: boolean
      }
    | undefined
}

/** What a look at the machine's addresses has changed; each ADDRESS:PORT. */
interface ListeningChange {
  /** Can be asked from now on, */
  readonly came: readonly string[]
  /** and cannot any more. */
  readonly went: readonly string[]
  /** Whether sockets were opened or given up, which takes new processes. */
  readonly isOther: boolean
  /** What could not be opened, and why. */
  readonly problems: readonly string[]
  /** Whether an address is there and cannot be bound yet. */
  readonly isEarly: boolean
}

interface OpenPlace {
  readonly place: SocketPlace
  /** Undefined without the addon, where each process binds for itself. */
  readonly group: Group | undefined
}

interface OpenListener {
  readonly place: SocketPlace
  readonly descriptors: readonly number[]
}

/** One socket address and, where it has a zone, the interface that it is bound to. */
const keyOf = ({ address, port }: SocketPlace, interfaces: readonly InterfaceAddress[]): string => {
  const index = address.includes("%") ? interfaces.find(({ address: { text } }) => text === address)?.index : undefined
  return `${formatListen(address, port)} ${index ?? ""}`
}

export class Listening {
  readonly #plan: ListeningPlan
  readonly #seed: number
  /** What the program before has left, by place; what is not taken is closed. */
  readonly #left: Pick<Legacy, "udp" | "tcp">
  readonly #udp = new Map<string, OpenPlace>()
  readonly #tcp = new Map<string, OpenListener>()
  /** Descriptors that nobody new inherits, and that some process may still serve. */
  readonly #leaving: number[] = []
  #present: readonly string[] = []
  #absent: readonly string[] = []
  #isEarly = false
  #isReleased = false

  private constructor(plan: ListeningPlan, legacy: Legacy | undefined) {
    this.#plan = plan
    this.#seed = legacy?.seed ?? Math.floor(Math.random() * 2 ** 32)
    this.#left = { udp: legacy?.udp ?? [], tcp: legacy?.tcp ?? [] }
  }

  /**
   * Opens what can be opened now, and takes over what the program before has left.
   * @throws UdpBindError or TcpListenError with what to do about it
   */
  static async open(plan: ListeningPlan, interfaces: readonly InterfaceAddress[], legacy?: Legacy): Promise<Listening> {
    const listening = new Listening(plan, legacy)
    await listening.#follow(interfaces, (error) => {
      throw error
    })
    return listening
  }

  /** For the program that follows this one. */
  get legacy(): Pick<Legacy, "seed" | "udp" | "tcp"> {
    return {
      seed: this.#seed,
      udp: [...this.#udp].flatMap(([key, { place, group }]) =>
        group === undefined
          ? []
          : [
              {
                key,
                place,
                workers: group.workers,
                kinds: [...group.kinds].map(([kind, descriptor]) => ({ kind, descriptor }))
              }
            ]
      ),
      tcp: [...this.#tcp].map(([key, open]) => ({ key, ...open }))
    }
  }

  /** ADDRESS:PORT that are answered on now. */
  get addresses(): readonly string[] {
    return this.#places(this.#present).map(({ address, port }) => formatListen(address, port))
  }

  /** Addresses that lines name and that are not this machine's now. */
  get absent(): readonly string[] {
    return this.#absent
  }

  /** Addresses and ports that are answered on, as they are whenever they are asked for. */
  get hosts(): { readonly addresses: readonly string[]; readonly ports: readonly number[] } {
    const addresses = (): readonly string[] => this.#present
    return {
      get addresses() {
        return addresses()
      },
      ports: this.#plan.ports
    }
  }

  /** Where the node serves now, on its first port. */
  get serving(): readonly SocketPlace[] {
    const [port = 0] = this.#plan.ports
    return this.#timeAddresses(this.#present).map((address) => ({ address, port }))
  }

  /** Every UDP place that is bound. */
  get places(): readonly SocketPlace[] {
    return [...this.#udp.values()].map(({ place }) => place)
  }

  /** Why packets are not steered by kind and source address; undefined where they are. */
  get unsteered(): string | undefined {
    if (!this.#plan.native) return "this node runs without the addon"
    return [...this.#udp.values()].find(({ group }) => group?.unsteered !== undefined)?.group?.unsteered
  }

  /** A worker's sockets, as they are when they are asked for. */
  worker(index: number): HandedSockets {
    return this.#handed(
      this.#udp,
      ({ group }) => group?.workers[index],
      () => true
    )
  }

  /** Of the service that answers a kind of packets; none where those packets stay with the workers. */
  ofKind(kind: PacketKind): HandedSockets {
    return this.#handed(
      this.#udp,
      ({ group }) => group?.kinds.get(kind),
      ({ group }) => group?.kinds.has(kind) === true
    )
  }

  /** Of an NTS-KE process. */
  ntsKe(index: number): HandedSockets {
    return this.#handed(
      this.#tcp,
      ({ descriptors }) => descriptors[index],
      () => true
    )
  }

  get listeners(): readonly number[] {
    return [...this.#tcp.values()].flatMap(({ descriptors }) => descriptors)
  }

  /** Opens and gives up what the machine's addresses ask for now. What is given up stays open until {@link closeLeft}. */
  async follow(interfaces: readonly InterfaceAddress[]): Promise<ListeningChange> {
    const problems: string[] = []
    const before = this.addresses
    const isOther = await this.#follow(interfaces, (error) => problems.push(error.message))
    const now = this.addresses
    return {
      came: now.filter((address) => !before.includes(address)),
      went: before.filter((address) => !now.includes(address)),
      isOther,
      problems,
      isEarly: this.#isEarly
    }
  }

  /**
   * Lets go of the sockets for time: what comes once the last process that holds them has ended is refused, not kept for nobody.
   * Nothing is opened from here on.
   */
  release(): void {
    this.#isReleased = true
    for (const { group } of this.#udp.values())
      for (const descriptor of group === undefined ? [] : [...group.workers, ...group.kinds.values()])
        closeSync(descriptor)
    this.#udp.clear()
  }

  /** To be called when every process has what it is to serve now. */
  closeLeft(): void {
    for (const descriptor of this.#leaving.splice(0)) closeSync(descriptor)
  }

  /** Where NTP is answered, of the addresses that the rules come to. */
  #timeAddresses(addresses: readonly string[]): readonly string[] {
    if (this.#plan.nts?.exchangeOnly !== true) return addresses
    const families = [addresses.some((address) => !address.includes(":")), addresses.some((it) => it.includes(":"))]
    return ["127.0.0.1", "::1"].filter((_, index) => families[index])
  }

  #places(addresses: readonly string[]): readonly SocketPlace[] {
    const own = this.#timeAddresses(addresses)
    return this.#plan.ports.flatMap((port) => own.map((address) => ({ address, port })))
  }

  async #follow(
    interfaces: readonly InterfaceAddress[],
    refused: (error: UdpBindError | TcpListenError) => void
  ): Promise<boolean> {
    if (this.#isReleased) return false
    const { rules, native, nts } = this.#plan
    const { present, absent } = listenNow(rules, interfaces)
    // Only the addon can bind what is not there, and nobody can in a zone that is not.
    const wanted = [...present, ...absent.filter(({ scope }) => native && scope === undefined)].map(({ text }) => text)
    this.#present = present.map(({ text }) => text)
    this.#absent = absent.map(({ text }) => text)
    let isOther = false
    this.#isEarly = false
    const udp = new Map(this.#places(wanted).map((place) => [keyOf(place, interfaces), place]))
    const tcp = new Map(
      nts === undefined
        ? []
        : wanted.map((address) => {
            const place = { address, port: nts.port }
            return [keyOf(place, interfaces), place] as const
          })
    )
    for (const [key, { group }] of this.#udp) {
      if (udp.has(key)) continue
      this.#udp.delete(key)
      isOther = true
      if (group !== undefined) this.#leaving.push(...group.workers, ...group.kinds.values())
    }
    for (const [key, { descriptors }] of this.#tcp) {
      if (tcp.has(key)) continue
      this.#tcp.delete(key)
      this.#leaving.push(...descriptors)
    }
    for (const [key, place] of udp) {
      if (this.#udp.has(key)) continue
      isOther = (await this.#attempt(() => this.#openUdp(key, place), refused)) || isOther
    }
    for (const [key, place] of tcp) {
      if (this.#tcp.has(key)) continue
      const left = this.#left.tcp.find((own) => own.key === key && own.descriptors.length === nts?.processes)
      const openTcp = (): void =>
        void this.#tcp.set(key, {
          place,
          descriptors: left?.descriptors ?? (native ? openListenerGroup(place, nts?.processes ?? 0) : [])
        })
      isOther = (await this.#attempt(openTcp, refused)) || isOther
    }
    return isOther
  }

  async #openUdp(key: string, place: SocketPlace): Promise<void> {
    const { native, workers, packetKinds } = this.#plan
    if (!native) await assertFree(place.address, place.port)
    const left = this.#left.udp.find((own) => own.key === key)
    const isSame =
      left?.workers.length === workers &&
      left.kinds.map(({ kind }) => kind).join(" ") === (workers + packetKinds.length === 1 ? "" : packetKinds.join(" "))
    if (left !== undefined && isSame) {
      const kinds = new Map(left.kinds.map(({ kind, descriptor }) => [kind, descriptor]))
      this.#udp.set(key, { place, group: { workers: left.workers, kinds, unsteered: undefined } })
      return
    }
    // Steering programs count the sockets of a place: of another number they would hand packets to the wrong ones.
    if (left !== undefined) throw new LegacyMismatch(formatListen(place.address, place.port))
    const group = native ? openGroup(place, { workers, packetKinds, seed: this.#seed }) : undefined
    this.#udp.set(key, { place, group })
  }

  /** Whether it worked. An interface may have gone a moment ago, and an IPv6 address be checked for duplicates still. */
  async #attempt(
    open: () => void | Promise<void>,
    refused: (error: UdpBindError | TcpListenError) => void
  ): Promise<boolean> {
    try {
      await open()
      return true
    } catch (error) {
      if (!(error instanceof UdpBindError || error instanceof TcpListenError)) throw error
      if (error.code === "ENODEV" || error.code === "EADDRNOTAVAIL") this.#isEarly = true
      else refused(error)
      return false
    }
  }

  #handed<Open extends { readonly place: SocketPlace }>(
    all: ReadonlyMap<string, Open>,
    descriptorOf: (open: Open) => number | undefined,
    isOwn: (open: Open) => boolean
  ): HandedSockets {
    const own = (): readonly Open[] => [...all.values()].filter(isOwn)
    return {
      get places() {
        return own().map(({ place }) => place)
      },
      get descriptors() {
        return own().flatMap((open) => descriptorOf(open) ?? [])
      }
    }
  }
}
