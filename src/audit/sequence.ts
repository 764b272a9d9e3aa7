// Whether records follow each other as `seq` and `prev` say, and if not, what was done to them. That something is wrong
// is certain; what it was is the simplest edit that explains it. Memory is bounded whatever the records claim.

import { type AuditHead, EMPTY_HEAD } from './chain.ts'
import type { FaultList } from './fault.ts'

/** What the check needs to know of one line. */
export interface Link {
  readonly line: number
  readonly seq: number
  readonly prev: string
  readonly hash: string
}

/** A record that came before its turn, or whose place was taken. `expected` is the seq that the line should have had. */
interface Stray extends Link {
  readonly expected: number
}

/** Records `from` to `to` are missing before `line`. */
interface Gap {
  from: number
  readonly to: number
  readonly line: number
  /** Hash that the record after the gap names. */
  readonly successorPrev: string
}

interface Candidate {
  line: number
  readonly hash: string
  /** It was taken from an earlier line, to which the next record agreed. */
  readonly early: Link | undefined
}

// How many records may be out of place at once before the check stops trying to tell a move from a gap.
const MEMORY = 64

export class SequenceCheck {
  readonly #faults: FaultList
  /** The seq that comes next. */
  #expected = 0
  /** Records that claim to be the last one; more than one when a rival was inserted. Empty: it was not readable. */
  #last: Candidate[] = [{ line: 0, hash: EMPTY_HEAD.hash, early: undefined }]
  #lastLine = 0
  #head: AuditHead = EMPTY_HEAD
  /** The record whose successor disagreed; waits to see whether the successor itself is the altered one. */
  #doubted: Link | undefined
  #unreadable = 0
  #strays: Stray[] = []
  #extras: Stray[] = []
  #gaps: Gap[] = []

  constructor(faults: FaultList) {
    this.#faults = faults
  }

  /** Whether everything so far is in order. Exact only after {@link end}. */
  get clean(): boolean {
    return this.#doubted === undefined && this.#strays.length + this.#extras.length + this.#gaps.length === 0
  }

  /** The last record that is in its place. */
  get head(): AuditHead {
    return this.#head
  }

  /** A line that is not a record stands for one that was. */
  unreadable(): void {
    this.#unreadable++
  }

  push(link: Link): void {
    if (link.seq === this.#expected) this.#accept(link)
    else if (link.seq > this.#expected) this.#ahead(link)
    else this.#behind(link)
  }

  end(): void {
    for (let stray = this.#strays.shift(); stray !== undefined; stray = this.#strays.shift()) {
      // After everything that is in order: the end of a log with a hole. Before it: a record that does not belong.
      if (stray.line > this.#lastLine && stray.seq >= this.#expected) this.#skipTo(stray)
      else this.#extra(stray)
    }
    this.#confirmDoubt()
    this.#settleRivals(undefined)
    this.#reportGapsAndExtras()
  }

  #accept(link: Link, early = false): void {
    if (this.#last.length > 0) {
      const named = this.#last.find((candidate) => candidate.hash === link.prev)
      if (named === undefined) this.#doubt(link)
      else this.#confirmDoubt()
      this.#settleRivals(named)
    } else {
      this.#confirmDoubt()
    }
    this.#place(link, early)
    this.#acceptStrays()
  }

  #place(link: Link, early: boolean): void {
    this.#last = [{ line: link.line, hash: link.hash, early: early ? link : undefined }]
    this.#lastLine = Math.max(this.#lastLine, link.line)
    this.#head = { seq: link.seq, hash: link.hash }
    this.#expected = link.seq + 1
    this.#unreadable = 0
  }

  #acceptStrays(): void {
    if (this.#strays.length === 0) return
    const [last] = this.#last
    const at = this.#strays.findIndex((stray) => stray.seq === this.#expected && stray.prev === last?.hash)
    const stray = this.#strays[at]
    if (stray === undefined) return
    this.#strays.splice(at, 1)
    this.#accept(stray, true)
  }

  #ahead(link: Link): void {
    // An unreadable line stands where the missing record stood.
    if (link.seq - this.#expected <= this.#unreadable) {
      this.#acceptAfterHole(link)
      return
    }
    const before = this.#strays.at(-1)
    // Two in sequence show that the log goes on from there: what lies between is missing. One alone was moved or inserted.
    if (before !== undefined && link.seq === before.seq + 1) {
      this.#strays.pop()
      this.#skipTo(before)
      this.#accept(link)
    } else if (this.#strays.length < MEMORY) {
      this.#strays.push({ ...link, expected: this.#expected })
    } else {
      this.#skipTo(link)
    }
  }

  #skipTo(link: Link): void {
    const explained = Math.min(this.#unreadable, link.seq - this.#expected)
    const from = this.#expected + explained
    if (from < link.seq) this.#gap({ from, to: link.seq - 1, line: link.line, successorPrev: link.prev })
    this.#acceptAfterHole(link)
  }

  #acceptAfterHole(link: Link): void {
    this.#settleRivals(undefined)
    this.#last = []
    this.#accept(link)
  }

  #gap(gap: Gap): void {
    if (this.#gaps.length < MEMORY) this.#gaps.push(gap)
    else this.#reportGap(gap)
    for (const stray of this.#strays.filter((one) => one.seq >= gap.from && one.seq <= gap.to)) {
      this.#strays.splice(this.#strays.indexOf(stray), 1)
      this.#behind(stray)
    }
  }

  #behind(link: Link): void {
    const gap = this.#gaps.find((one) => one.from <= link.seq && link.seq <= one.to)
    if (gap !== undefined) {
      if (link.seq === gap.to && link.hash !== gap.successorPrev) this.#extra({ ...link, expected: this.#expected })
      else this.#fill(gap, link)
    } else if (link.seq === this.#expected - 1 && this.#last.length > 0 && this.#last.length < MEMORY) {
      this.#rival(link)
    } else {
      this.#extra({ ...link, expected: this.#expected })
    }
  }

  #fill(gap: Gap, link: Link): void {
    this.#reordered(link)
    this.#gaps.splice(this.#gaps.indexOf(gap), 1)
    for (const part of [
      { ...gap, to: link.seq - 1, successorPrev: link.prev },
      { ...gap, from: link.seq + 1 },
    ]) {
      if (part.from > part.to) continue
      if (this.#gaps.length < MEMORY) this.#gaps.push(part)
      else this.#reportGap(part)
    }
  }

  /** A second record for the place just filled. Which of the two belongs is for the next record to say. */
  #rival(link: Link): void {
    const twin = this.#last.find((candidate) => candidate.hash === link.hash)
    if (twin === undefined) {
      this.#last.push({ line: link.line, hash: link.hash, early: undefined })
    } else if (twin.early !== undefined) {
      // The copy came first: this line is the record, that one the insertion.
      this.#extra({ ...twin.early, expected: twin.early.seq })
      this.#last[this.#last.indexOf(twin)] = { line: link.line, hash: link.hash, early: undefined }
    } else {
      this.#extra({ ...link, expected: this.#expected })
    }
  }

  #settleRivals(named: Candidate | undefined): void {
    const kept = named ?? this.#last[0]
    for (const candidate of this.#last) {
      const { line, early } = candidate
      const seq = this.#expected - 1
      if (candidate !== kept) this.#extra({ line, seq, prev: '', hash: candidate.hash, expected: seq })
      else if (early !== undefined) this.#reordered(early)
    }
  }

  #doubt(link: Link): void {
    const [last] = this.#last
    // Of two neighbours that disagree the first is the altered one, unless its successor is disowned as well.
    this.#doubted = { line: last?.line ?? 0, seq: link.seq - 1, prev: '', hash: '' }
  }

  #confirmDoubt(): void {
    const doubted = this.#doubted
    if (doubted === undefined) return
    this.#doubted = undefined
    this.#faults.add({
      line: doubted.line,
      seq: doubted.seq,
      kind: 'altered',
      detail: `record ${doubted.seq} is not the one that record ${doubted.seq + 1} names`,
    })
  }

  #reordered({ line, seq }: Link): void {
    this.#faults.add({ line, seq, kind: 'reordered', detail: `record ${seq} does not stand after record ${seq - 1}` })
  }

  #extra(stray: Stray): void {
    if (this.#extras.length < MEMORY) this.#extras.push(stray)
    else this.#reportExtra(stray)
  }

  #reportGapsAndExtras(): void {
    for (const gap of this.#gaps) {
      // A missing record and one too many at its very place are one record whose seq was altered.
      const at = this.#extras.findIndex((extra) => extra.expected === gap.from)
      const extra = this.#extras[at]
      if (extra !== undefined) {
        this.#extras.splice(at, 1)
        const detail = `seq ${extra.seq} stands where record ${gap.from} belongs`
        this.#faults.add({ line: extra.line, seq: gap.from, kind: 'altered', detail })
        gap.from++
      }
      if (gap.from <= gap.to) this.#reportGap(gap)
    }
    for (const extra of this.#extras) this.#reportExtra(extra)
  }

  #reportGap({ from, to, line }: Gap): void {
    const detail = from === to ? `record ${from} is missing` : `records ${from} to ${to} are missing`
    this.#faults.add({ line, seq: from, kind: 'dropped', detail })
  }

  #reportExtra({ line, seq }: Link): void {
    this.#faults.add({ line, seq, kind: 'inserted', detail: `record ${seq} does not belong here` })
  }
}
