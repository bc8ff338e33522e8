/**
 * The certificates in use, kept up with their files: a change takes effect by itself, and a bad new file changes nothing
 * but is reported once.
 */
import type { FSWatcher } from "node:fs"
import { statSync, watch } from "@meridian/system/files"
import { dirname } from "node:path"
import { errnoName } from "@meridian/system/native"
import { CertificateError, type CertificateFiles, type LoadedCertificate, readCertificate } from "./certificates.ts"

interface StoreSettings {
  /** How long the files must be at rest after a change: a renewal writes two of them. */
  readonly settleMs: number
  /** How often the files' dates are looked at, for file systems and mounts whose changes are not announced. */
  readonly pollMs: number
}

const defaultStoreSettings: StoreSettings = { settleMs: 300, pollMs: 5_000 }

interface StoreEvents {
  /** Other certificates are in use from now on. May throw, which leaves the old ones in use. */
  readonly onChange: (certificates: readonly LoadedCertificate[]) => void
  readonly onWarning: (message: string) => void
  /** Unix seconds by which certificates' dates are judged; CLOCK_REALTIME unless told. */
  readonly now?: () => number
}

interface Place {
  readonly files: CertificateFiles
  loaded: LoadedCertificate | undefined
  /** The last warning about this place: it is not said twice in a row. */
  complaint: string | undefined
  /** Dates and sizes of the files at the last look. */
  seen: string
}

export class CertificateStore {
  private readonly places: readonly Place[]
  private readonly events: StoreEvents
  private readonly settings: StoreSettings
  private watchers: readonly FSWatcher[] = []
  private poll: NodeJS.Timeout | undefined
  private settling: NodeJS.Timeout | undefined
  /** What the files looked like when that timer was set. */
  private settlingOn: string | undefined

  /** Reads all pairs once. Those that cannot be used are reported; see {@link current} for the others. */
  constructor(files: readonly CertificateFiles[], events: StoreEvents, settings = defaultStoreSettings) {
    this.places = files.map((pair) => ({ files: pair, loaded: undefined, complaint: undefined, seen: stamp(pair) }))
    this.events = events
    this.settings = settings
    for (const place of this.places) this.read(place)
  }

  /** The usable certificates, in the order of the files. */
  get current(): readonly LoadedCertificate[] {
    return this.places.map(({ loaded }) => loaded).filter((loaded) => loaded !== undefined)
  }

  /** What is wrong with each pair now, a sentence each: it cannot be used, or clients will refuse it. */
  get troubles(): readonly string[] {
    const now = this.now()
    return this.places.flatMap(
      (place) => (place.loaded === undefined ? place.complaint : this.complaintOf(place, now)) ?? []
    )
  }

  /** Reads the files again, and says so when something is different. */
  reload(): void {
    const before = this.places.map(({ loaded }) => loaded)
    for (const place of this.places) {
      place.seen = stamp(place.files)
      this.read(place)
    }
    if (this.places.every(({ loaded }, index) => loaded === before[index])) return
    try {
      this.events.onChange(this.current)
    } catch (error) {
      this.places.forEach((place, index) => {
        place.loaded = before[index]
      })
      this.events.onWarning(
        `the new certificates cannot be used, the old ones stay: ${error instanceof Error ? error.message : String(error)}`
      )
    }
  }

  /** Follows the files from now on. */
  watch(): void {
    const folders = new Set(this.places.flatMap(({ files }) => [dirname(files.certificate), dirname(files.key)]))
    // The folder and not the file: renewals replace files and links, which ends a watch on the file itself.
    this.watchers = [...folders].flatMap((folder) => this.watchFolder(folder))
    this.poll = setInterval(() => this.lookAtDates(), this.settings.pollMs).unref()
  }

  close(): void {
    for (const watcher of this.watchers) watcher.close()
    clearInterval(this.poll)
    clearTimeout(this.settling)
  }

  private watchFolder(folder: string): readonly FSWatcher[] {
    try {
      const watcher = watch(folder, { persistent: false }, () => this.lookAtDates())
      // A folder that goes away takes its watcher along; the dates are still looked at.
      watcher.on("error", () => watcher.close())
      return [watcher]
    } catch {
      return []
    }
  }

  private now(): number {
    return this.events.now?.() ?? Date.now() / 1000
  }

  /** A certificate ends, or begins, while nobody touches its file. */
  private judge(): void {
    const now = this.now()
    for (const place of this.places) if (place.loaded !== undefined) this.complain(place, this.complaintOf(place, now))
  }

  /** One that stays for want of a better has its own complaint. */
  private complaintOf({ loaded, complaint }: Place, now: number): string | undefined {
    return complaint?.endsWith(KEPT) === true ? complaint : loaded?.warningAt(now)
  }

  private lookAtDates(): void {
    this.judge()
    const stamps = this.places.map(({ files }) => stamp(files))
    if (this.places.every(({ seen }, index) => seen === stamps[index])) return
    // Other files of the folder may change all the time; only these being at rest counts.
    const look = stamps.join(" ")
    if (look === this.settlingOn) return
    this.settlingOn = look
    clearTimeout(this.settling)
    this.settling = setTimeout(() => {
      this.settlingOn = undefined
      this.reload()
    }, this.settings.settleMs).unref()
  }

  private read(place: Place): void {
    const now = this.now()
    try {
      const next = readCertificate(place.files, now)
      const { loaded } = place
      if (loaded !== undefined && loaded.chain === next.chain && loaded.key === next.key)
        return this.complain(place, next.warning)
      const keeps = loaded !== undefined && loaded.warning === undefined && next.warning !== undefined
      if (!keeps) place.loaded = next
      this.complain(place, next.warning === undefined || !keeps ? next.warning : `${next.warning}${KEPT}`)
    } catch (error) {
      if (!(error instanceof CertificateError)) throw error
      this.complain(place, place.loaded === undefined ? error.message : `${error.message}${KEPT}`)
    }
  }

  private complain(place: Place, message: string | undefined): void {
    if (message !== undefined && message !== place.complaint) this.events.onWarning(message)
    place.complaint = message
  }
}

const KEPT = " (the certificate read before stays in use)"

/** Changes whenever a file is written, replaced or removed, others may read it, or a link to it points elsewhere. */
const stamp = (files: CertificateFiles): string =>
  [files.certificate, files.key]
    .map((path) => {
      try {
        const { ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true })
        // A change of who may read it is one of ctime alone.
        return `${ino}:${size}:${mtimeNs}:${ctimeNs}`
      } catch (error) {
        return errnoName(error)
      }
    })
    .join(" ")
