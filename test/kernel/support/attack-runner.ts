// How an attack is let loose: unconfined, to show that it works, and in a box, to show that it does not there. The box is
// behind an interface, so that the corpus says nothing of how boxes are made.

import { spawn } from 'node:child_process'
import { basename } from 'node:path'
import { AgentPortError } from '../../../src/core/errors.ts'
import type { EnforcerEvent } from '../../../src/enforcer/enforcer.ts'
import type { EnforcementReport } from '../../../src/enforcer/report.ts'
import type { Attack, AttackGrants } from '../attacks/attack.ts'
import type { Arsenal } from './attack-arsenal.ts'
import { AttackHost } from './attack-host.ts'

export interface AttackResult {
  readonly code?: number
  readonly signal?: string
  readonly stdout: string
  readonly stderr: string
}

export interface ConfinedBox {
  readonly report?: EnforcementReport
  run(file: string, args: readonly string[], env?: Readonly<Record<string, string>>): Promise<AttackResult>
  /** Ends it, and gives all that has happened in it. */
  close(): Promise<readonly EnforcerEvent[]>
}

export interface ConfinedRunner {
  /** Whether boxes are made without namespaces, where holes in what was granted cannot be made. */
  readonly flat?: boolean
  open(host: AttackHost, grants: AttackGrants): Promise<ConfinedBox>
}

/** Longer than any attack takes and than any limit it runs into. */
export const ATTACK_DEADLINE_MS = 10_000

const OK = 0
const REFUSED = 10
const UNTRIED = 20

/** Without any box, as the same user. */
export function runUnconfined(
  host: AttackHost,
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<AttackResult> {
  return new Promise((resolve) => {
    const child = spawn(file, args, {
      cwd: host.work,
      env: { ...process.env, ...env },
      // A fourth descriptor, as a careless parent leaves one.
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    })
    const deadline = setTimeout(() => child.kill('SIGKILL'), ATTACK_DEADLINE_MS)
    let stdout = ''
    let stderr = ''
    child.stdout?.on('data', (chunk) => {
      stdout += String(chunk)
    })
    child.stderr?.on('data', (chunk) => {
      stderr += String(chunk)
    })
    child.on('error', (error) => {
      clearTimeout(deadline)
      resolve({ stdout, stderr: String(error) })
    })
    child.on('exit', (code, signal) => {
      clearTimeout(deadline)
      // Not `close`: a daemon may keep the pipes.
      setTimeout(() => {
        resolve({ ...(code === null ? {} : { code }), ...(signal === null ? {} : { signal }), stdout, stderr })
        child.stdout?.destroy()
        child.stderr?.destroy()
      }, 5)
    })
  })
}

/** A box that confines nothing: what every assertion about a box has to find out. */
export const sieve: ConfinedRunner = {
  open: (host) =>
    Promise.resolve({
      run: (file, args, env) => runUnconfined(host, file, args, env),
      close: () => Promise.resolve([]),
    }),
}

export type ControlOutcome = 'succeeded' | 'refused' | 'untried'

export interface ControlRecord {
  readonly outcome: ControlOutcome
  /** What the program said last. */
  readonly said: string
}

/** What an attack can do when nothing is in its way. */
export async function control(attack: Attack, arsenal: Arsenal): Promise<ControlRecord> {
  const host = await AttackHost.open(arsenal, 'control')
  try {
    await attack.arrange?.(host)
    await host.begin()
    const result = await runUnconfined(host, attack.program ?? host.listed, attack.args(host), attack.env?.(host))
    const seen = (await attack.succeededOnHost?.(host)) ?? true
    const said = lastLine(result)
    if (result.code === UNTRIED) return { outcome: 'untried', said }
    const succeeded = (attack.judge === 'host' || result.code === OK) && seen
    return { outcome: succeeded ? 'succeeded' : 'refused', said: seen ? said : `${said} (no effect)` }
  } finally {
    await host.close()
  }
}

export interface ConfinedRecord {
  /** `opening`, `spawning`: refused before the attack could start. */
  readonly stage: 'opening' | 'spawning' | 'ran'
  readonly flat: boolean
  readonly result: AttackResult
  readonly effect: boolean
  /** Paths outside of what may be written that are different now. */
  readonly changes: readonly string[]
  readonly events: readonly EnforcerEvent[]
  readonly report?: EnforcementReport
  readonly milliseconds: number
}

/** The same in a box. Everything is looked at after the box is closed: what outlives it counts. */
export async function confined(attack: Attack, arsenal: Arsenal, runner: ConfinedRunner): Promise<ConfinedRecord> {
  const host = await AttackHost.open(arsenal, 'confined')
  const started = performance.now()
  let stage: ConfinedRecord['stage'] = 'opening'
  let result: AttackResult = { stdout: '', stderr: '' }
  let events: readonly EnforcerEvent[] = []
  let box: ConfinedBox | undefined
  try {
    await attack.arrange?.(host)
    await host.begin()
    try {
      box = await runner.open(host, attack.grants ?? {})
      stage = 'spawning'
      result = await box.run(attack.program ?? host.listed, attack.args(host), attack.env?.(host))
      stage = 'ran'
    } catch (error) {
      // Anything but a refusal with a code is a fault of the box and not a success of the test.
      if (!(error instanceof AgentPortError)) throw error
      result = { stdout: '', stderr: `${error.code}: ${error.message}` }
    } finally {
      events = (await box?.close()) ?? []
    }
    const milliseconds = performance.now() - started
    const effect = (await attack.succeededOnHost?.(host)) ?? false
    const changes = await host.changes()
    return {
      stage,
      flat: runner.flat === true,
      result,
      effect,
      changes,
      events,
      milliseconds,
      ...(box?.report === undefined ? {} : { report: box.report }),
    }
  } finally {
    await host.close()
  }
}

/** Everything that speaks against the box. Empty means contained. */
export function faults(attack: Attack, record: ConfinedRecord): readonly string[] {
  const { stage, flat, result, effect, changes, events, report, milliseconds } = record
  const said = `${lastLine(result)}${result.signal === undefined ? '' : ` [${result.signal}]`}`
  const found: string[] = []
  if (effect) found.push(`the host shows that it succeeded: ${said}`)
  if (changes.length > 0) found.push(`changed on the host: ${changes.join(', ')}`)
  if (milliseconds > ATTACK_DEADLINE_MS) found.push(`took ${Math.round(milliseconds)} ms`)
  if (stage !== 'ran') {
    const holes = stage === 'opening' && flat && attack.grants?.holes === true
    const allowed = holes || attack.mayBeRefused === (stage === 'opening' ? 'profile' : 'command')
    return allowed ? found : [...found, `refused while ${stage}: ${result.stderr}`]
  }
  const evidence = attack.evidence ?? /^trying/m
  if (!evidence.test(result.stdout + result.stderr)) found.push(`it never started: ${said}`)
  if (attack.judge !== 'host') {
    if (result.code === OK) found.push('it succeeded')
    // Anything but a refusal or a signal is a program that broke, which proves nothing.
    else if (result.code !== undefined && result.code !== REFUSED) found.push(`exit code ${result.code}: ${said}`)
  }
  if ('reported' in attack.visibility && report !== undefined) {
    const { reported } = attack.visibility
    const told = events.some((event) => event.type === 'denied' && event.feature === reported)
    if (!told && report.features[reported].visibility === 'reported') {
      const denials = events.flatMap((event) => (event.type === 'denied' ? [`${event.feature} ${event.subject}`] : []))
      found.push(`no event tells of a denial by ${reported}: ${said}; told: ${denials.join(', ') || 'nothing'}`)
    }
  }
  return found
}

function lastLine({ stdout, stderr }: AttackResult): string {
  const said = `${stderr}\n${stdout}`.split('\n').filter((line) => line.trim() !== '')
  return (said.at(-1) ?? '').slice(0, 300)
}

/** For the list of what could not be tried. */
export function describeAttack(attack: Attack): string {
  return `${attack.class}/${attack.id} (${basename(attack.program ?? 'attacks')})`
}
