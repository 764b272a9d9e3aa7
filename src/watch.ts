// What the gateway makes of what an enforcer tells: a record of each thing, counted where a process decides how often, and
// the end of the node for a process that reached for privilege. It stands between enforcer and executor and is the one
// reader of the enforcer's events; the executor gets a copy of them. It trusts the enforcer to tell, not to be quiet.

import type { AuditEvent } from './audit/event.ts'
import { Deadline } from './core/deadline.ts'
import { type Denial, deny } from './core/denial.ts'
import { AgentPortError } from './core/errors.ts'
import { printable } from './core/text.ts'
import type { Command } from './enforcer/command.ts'
import type { ConfinedProcess, Confinement, EnforcerEvent, ExitStatus, KillReport } from './enforcer/enforcer.ts'
import { EventQueue } from './enforcer/event-queue.ts'
import { FEATURES } from './enforcer/feature.ts'
import type { EnforcementReport } from './enforcer/report.ts'
import { given, type House, RECORD_TIMEOUT_MS, record } from './house.ts'

/** What every record of a confinement says of it. */
export interface ConfinementFields {
  readonly run: string
  readonly node: string
  readonly attempt: number
  readonly tool: string
  readonly skill: string
  readonly enforcement: string
  /** `seq` of its `process.confined` record. */
  readonly confinement: number
}

export interface Watch {
  readonly house: House
  readonly about: ConfinementFields
  /** Aborted when the attempt is over: then the confinement is, too. */
  readonly signal: AbortSignal
  /** Ends the attempt for what happened in the confinement. */
  readonly end: (denial: Denial) => void
}

// The confined process decides how many different things it is denied; beyond these they are counted by feature alone.
const DISTINCT_DENIALS = 128
const SUBJECT_LENGTH = 256
// Starts and exits that the executor did not ask for. What it spawns itself is always recorded, as its calls are.
const UNASKED_PROCESSES = 256

type DeniedEvent = Extract<EnforcerEvent, { type: 'denied' }>

export class WatchedConfinement implements Confinement {
  readonly #inner: Confinement
  readonly #watch: Watch
  readonly #events: EventQueue
  readonly #tally = new Tally()
  readonly #pump: Promise<void>
  readonly #onAbort = (): void => {
    this.close().catch(() => undefined)
  }
  /** When the event being read happened, so that the copy does not say when it was copied. */
  #at: number
  #seq = 0
  #lost = 0
  #spawned = 0
  #started = 0
  #exited = 0
  #escalated = false
  #stopped = false
  #over = false
  #ending: Promise<void> | undefined
  #told: (() => void) | undefined
  /** Resolves when the confinement is closed and `process.ended` is written; never rejects. */
  readonly closed: Promise<void>

  constructor(inner: Confinement, watch: Watch) {
    this.#inner = inner
    this.#watch = watch
    const { clock } = watch.house
    this.#at = clock.now()
    this.#events = new EventQueue({ now: () => this.#at, monotonic: () => clock.monotonic() })
    this.closed = new Promise((resolve) => {
      this.#told = resolve
    })
    this.#pump = this.#read()
    if (watch.signal.aborted) this.#onAbort()
    else watch.signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  get report(): EnforcementReport {
    return this.#inner.report
  }

  get events(): AsyncIterable<EnforcerEvent> {
    return this.#events
  }

  async spawn(command: Command): Promise<ConfinedProcess> {
    if (this.#stopped) throw new AgentPortError('ERR_STATE_INVALID', 'the confinement was killed or closed')
    this.#spawned += 1
    const { pid, stdin, stdout, stderr, exited } = await this.#inner.spawn(command)
    return Object.freeze({ pid, ...given('stdin', stdin), stdout, stderr, exited: afterwards(exited) })
  }

  async kill(): Promise<KillReport> {
    this.#stopped = true
    try {
      return await this.#inner.kill()
    } catch {
      const enforcement = this.#inner.report?.enforcement ?? 'none'
      return Object.freeze({ enforcement, outcome: 'unproven', mechanism: '', unreaped: Object.freeze([]) })
    }
  }

  close(): Promise<void> {
    this.#ending ??= this.#close().finally(() => this.#told?.())
    return this.#ending
  }

  async #close(): Promise<void> {
    const { house, signal } = this.#watch
    signal.removeEventListener('abort', this.#onAbort)
    const killed = await this.kill()
    const left = await this.#inner.close().then(
      () => undefined,
      (error: unknown) => ({ error }),
    )
    // An enforcer that never ends its events must not keep the rest waiting.
    await new Deadline(house.clock, RECORD_TIMEOUT_MS).race(this.#pump)
    this.#over = true
    this.#events.end()
    await this.#write({
      type: 'process.ended',
      ...this.#watch.about,
      processes: this.#started,
      denials: this.#tally.total,
      denied: this.#tally.lines(),
      lost: this.#lost,
      killed: killed.outcome,
      ...(left === undefined ? {} : { detail: 'the confinement could not be given back in full' }),
    })
    if (left !== undefined) throw left.error
  }

  async #read(): Promise<void> {
    try {
      for await (const event of this.#inner.events) {
        if (this.#over) return
        this.#at = event.at
        this.#countGap(event.seq)
        // Judged before it is passed on: who reads of it must find the node ended.
        this.#take(event)
        this.#events.push(event)
      }
    } catch {
      // What happens in there from now on, nobody would see.
      this.#endNode(deny('enforcement_unavailable', 'the events of a confinement broke off', this.#subject()))
    }
    // Also when the events merely ended: without them nothing may run in it.
    this.#onAbort()
  }

  #take(event: EnforcerEvent): void {
    const { about } = this.#watch
    const allowance = UNASKED_PROCESSES + this.#spawned
    switch (event.type) {
      case 'started':
        this.#started += 1
        if (this.#started > allowance) return
        void this.#write({ type: 'process.started', ...about, pid: event.pid, program: printable(event.file) })
        return
      case 'exited':
        this.#exited += 1
        if (this.#exited > allowance) return
        void this.#write({ type: 'process.exited', ...about, pid: event.pid, ...statusFields(event) })
        return
      case 'denied':
        this.#denied(event)
        return
      case 'counted':
        this.#tally.add(featureWord(event.feature), 'counted', subjectText(event.subject), event.count)
        return
      case 'lost':
        this.#lost += event.count
    }
  }

  #denied(event: DeniedEvent): void {
    const feature = featureWord(event.feature)
    const evidence = event.evidence === 'enforced' ? 'enforced' : 'observed'
    const subject = subjectText(event.subject)
    const isNew = this.#tally.add(feature, evidence, subject, 1)
    const escalates = isEscalation(event) && !this.#escalated
    this.#escalated ||= escalates
    // The call failed already; killed at once all the same, since who tries one way to privilege tries the next.
    if (escalates) void this.kill()
    if (isNew || escalates) {
      void this.#write({
        type: 'process.denied',
        ...this.#watch.about,
        feature,
        subject,
        evidence,
        ...given('pid', event.pid),
        ...(event.rule === undefined ? {} : { rules: [printable(event.rule)] }),
        ...(escalates ? { code: 'privilege_escalation' } : {}),
      })
    }
    if (escalates) {
      this.#endNode(deny('privilege_escalation', `a process tried to gain privilege: ${subject}`, this.#subject()))
    }
  }

  /** Sequence numbers have no gaps; an enforcer that skips some has lost what they stood for. */
  #countGap(seq: number): void {
    const missing = seq - this.#seq - 1
    this.#seq = seq
    if (!(missing > 0)) return
    this.#lost += missing
    this.#events.push({ type: 'lost', count: missing })
  }

  // INVARIANT (no unrecorded process): what cannot be written down does not go on.
  async #write(event: AuditEvent): Promise<void> {
    const { house } = this.#watch
    if (typeof (await record(house, event)) === 'object') return
    this.#endNode(deny('audit_unavailable', 'what a process did could not be recorded', this.#subject()))
  }

  #endNode(denial: Denial): void {
    void this.kill()
    this.#watch.end(denial)
  }

  #subject(): { readonly subject: { readonly node: string; readonly tool: string; readonly skill: string } } {
    const { node, tool, skill } = this.#watch.about
    return { subject: { node, tool, skill } }
  }
}

/**
 * Whether a denial ends the node. Reaching for privilege does: no program needs to, having been refused once, and what was
 * refused shows its intent. Everything else that is denied may be a program that merely tries what it could do without.
 * What was only observed ends nothing, for nobody says that it was blocked, or that it was this process.
 */
function isEscalation({ feature, evidence }: DeniedEvent): boolean {
  return feature === 'privilege' && evidence === 'enforced'
}

/** Resolves in the next turn of the event loop: everything an enforcer told in this one has then been read. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0))
}

// A process that was caught and then ended in the same breath: the executor must not be told of its end, and hand back its
// result, before the gateway has read why it must not count.
async function afterwards(exited: Promise<ExitStatus>): Promise<ExitStatus> {
  const status = await exited
  await nextTurn()
  return status
}

function statusFields({ code, signal }: ExitStatus): { readonly exitCode?: number; readonly signal?: string } {
  return { ...given('exitCode', code), ...(signal === undefined ? {} : { signal: printable(signal, SUBJECT_LENGTH) }) }
}

function featureWord(feature: string): string {
  return (FEATURES as readonly string[]).includes(feature) ? feature : 'unknown'
}

function subjectText(subject: string): string {
  return printable(subject, SUBJECT_LENGTH)
}

/** Exact counts in bounded memory: of each of the first so many different denials, and of the others by feature. */
class Tally {
  readonly #each = new Map<string, number>()
  readonly #others = new Map<string, number>()
  #total = 0

  get total(): number {
    return this.#total
  }

  /** Whether this is the first of its kind and stands on a line of its own. */
  add(feature: string, evidence: 'enforced' | 'observed' | 'counted', subject: string, count: number): boolean {
    this.#total += count
    const kind = `${feature} ${evidence}`
    const line = `${kind} ${subject}`
    const before = this.#each.get(line)
    if (before === undefined && this.#each.size >= DISTINCT_DENIALS) {
      this.#others.set(kind, (this.#others.get(kind) ?? 0) + count)
      return false
    }
    this.#each.set(line, (before ?? 0) + count)
    return before === undefined
  }

  lines(): readonly string[] {
    return [
      ...Array.from(this.#others, ([kind, count]) => `${count} ${kind}`),
      ...Array.from(this.#each, ([line, count]) => `${count} ${line}`),
    ]
  }
}
