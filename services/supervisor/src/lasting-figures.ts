/** What the processes of one slot have counted, those that are gone among them: counts of a node never go back. */
import type { Shape } from "@meridian/ipc/shape"
import { sumOf, zeroOf } from "@meridian/ipc/sums"

export class LastingFigures<Report, Figures> {
  private readonly shape: Shape<Figures>
  private readonly figuresOf: (report: Report) => Figures
  private readonly latest = new Map<number, Report>()
  /** Of the processes that are gone. */
  private retired: Figures

  /** @param figuresOf the part of a report that counts up from a process's start */
  constructor(shape: Shape<Figures>, figuresOf: (report: Report) => Figures) {
    this.shape = shape
    this.figuresOf = figuresOf
    this.retired = zeroOf(shape)
  }

  note(pid: number, report: Report): void {
    this.latest.set(pid, report)
  }

  retire(pid: number): void {
    const last = this.latest.get(pid)
    this.latest.delete(pid)
    if (last !== undefined) this.retired = sumOf(this.shape, this.retired, this.figuresOf(last))
  }

  /** What a process said last. */
  of(pid: number | undefined): Report | undefined {
    return pid === undefined ? undefined : this.latest.get(pid)
  }

  /** What those said last that are still there. */
  get reports(): readonly Report[] {
    return [...this.latest.values()]
  }

  get sum(): Figures {
    return this.reports.reduce((sum, report) => sumOf(this.shape, sum, this.figuresOf(report)), this.retired)
  }
}
