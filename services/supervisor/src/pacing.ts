/** What is done less often while nothing is new, and when it is done. */

/** Milliseconds after the whole second, when the node's processes say what is new. */
export const afterReports = { after: 25 }

/** Whether a text is another than before, or has stayed the same for so many calls. */
export const onNews = (most: number): ((news: string) => boolean) => {
  let known = ""
  let same = 0
  return (news) => {
    same = news === known ? same + 1 : 0
    known = news
    return same % most === 0
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
