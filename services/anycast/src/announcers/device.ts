/**
 * The node's own network device: its link is up while the route is to be there. A router that has the route hang on the device
 * (in BIRD a static route `via "NAME"` with `check link yes`) follows within a twentieth of a second, and loses the route as well when the node
 * is gone, whatever ended it: the device goes with the last process that holds it.
 */
import { setTunnelLink } from "@meridian/system/network-device"
import { type Announcer, AnnouncerTrouble } from "../announcer.ts"

export class DeviceAnnouncer implements Announcer {
  readonly name = "device"
  private readonly descriptor: number

  /** @param descriptor from `openTunnel`, inherited */
  constructor(descriptor: number) {
    this.descriptor = descriptor
  }

  async apply(announced: boolean): Promise<void> {
    try {
      setTunnelLink(this.descriptor, announced)
    } catch (error) {
      throw new AnnouncerTrouble((error as Error).message)
    }
  }

  close(): void {}
}
