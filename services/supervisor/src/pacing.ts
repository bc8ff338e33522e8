/** What is done less often while nothing is new, and when it is done. */

/** Milliseconds after the whole second, when the node's processes say what is new. */
export const afterReports = { after: 25 }

/** Timers keep milliseconds, and may come a little early. */
const ROUNDING_SECONDS = 0.1

/** Whether a text is another than before, or was last said to be one, or to be due, so many seconds ago. */
export const onNews = (seconds: number, now: () => number): ((news: string) => boolean) => {
  let known = ""
  let at = Number.NEGATIVE_INFINITY
  return (news) => {
    if (news === known && now() - at < seconds - ROUNDING_SECONDS) return false
    known = news
    at = now()
    return true
  }
}

/** What was read last, for so many seconds, and for as long as nothing `changed`. */
export const seldom = <A>(seconds: number, now: () => number, changed: () => number, read: () => A): (() => A) => {
  let known = changed()
  let last = read()
  let at = now()
  return () => {
    if (now() - at < seconds || known === changed()) return last
    known = changed()
    at = now()
    return (last = read())
  }
}

/** Begins what is to be done, and waits until all of it is, or for so many milliseconds. Who asks meanwhile waits for the same. */
export const togetherWithin = (milliseconds: number, begin: () => readonly Promise<void>[]): (() => Promise<void>) => {
  let current: Promise<void> | undefined
  const wait = async (): Promise<void> => {
    let timer: NodeJS.Timeout | undefined
    const longest = new Promise((done) => (timer = setTimeout(done, milliseconds)))
    await Promise.race([Promise.all(begin()), longest])
    clearTimeout(timer)
    current = undefined
  }
  return () => (current ??= wait())
}
