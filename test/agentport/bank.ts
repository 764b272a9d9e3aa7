// A gateway whose policy is the test's own: one skill that pays, reads and mails, a clock that stands still, and a log
// that can be read back. What the tests of limits, approvals, obligations and conditions start from.

import {
  type AgentPort,
  type AgentPortOptions,
  type Call,
  type CallRequest,
  type DenialCode,
  type LimitStore,
  MemoryLimitStore,
  type MemorySink,
  type NodeAdmission,
  type Reservation,
  type Run,
  type RunOptions,
} from '../../src/index.ts'
import { type ManualClock, manualClock } from '../../src/testing/index.ts'
import { bundleOf, openPort } from './fixture.ts'

export const BANK_MANIFEST = `
skill: bank
tools:
  - name: pay
    input_schema:
      type: object
      properties: { url: { type: string }, amount: { type: number }, note: { type: string } }
      required: [url]
      additionalProperties: false
    resources: [{ from: /url, kind: url }]
  - name: http_get
    input_schema:
      type: object
      properties: { url: { type: string }, note: { type: string } }
      required: [url]
      additionalProperties: false
    resources: [{ from: /url, kind: url, method: GET }]
  - name: http_head
    input_schema:
      type: object
      properties: { url: { type: string } }
      required: [url]
      additionalProperties: false
    resources: [{ from: /url, kind: url, method: HEAD }]
  - name: mail_send
    oauth_scopes: [mail.send]
    input_schema: { type: object, properties: { to: { type: string } }, additionalProperties: false }
  - name: note
    input_schema: { type: object, properties: { text: { type: string } }, additionalProperties: false }
  - name: ping
    input_schema: { type: object, additionalProperties: false }
allowed_hosts: ["*.example.com"]
`

/** Permits all that the manifest declares. */
export const PERMITS = `
  - { id: web, effect: permit, nodes: ["*"], tools: [pay, http_get, http_head], hosts: ["*.example.com"] }
  - { id: mail, effect: permit, nodes: ["*"], tools: [mail_send], oauth_scopes: [mail.send] }
  - { id: local, effect: permit, nodes: ["*"], tools: [note, ping] }
`

const SCOPE = ['pay', 'http_get', 'http_head', 'mail_send', 'note', 'ping']

export const BANK_GRAPH = {
  nodes: {
    clerk: { skill: 'bank', toolScope: SCOPE },
    teller: { skill: 'bank', toolScope: SCOPE },
    auditor: { skill: 'bank', after: ['clerk'], toolScope: SCOPE },
  },
}

export const PAY = { tool: 'pay', args: { url: 'https://bank.example.com/pay', amount: 10 } }

/** A policy document out of its rules beside {@link PERMITS}, and what stands beside `rules`. */
export function bankPolicy(beside = '', rules = ''): { file: string; text: string } {
  return { file: 'bank.yaml', text: `version: 1\nrules:${PERMITS}${rules}\n${beside}\n` }
}

export interface Bank {
  readonly clock: ManualClock
  readonly port: AgentPort
  readonly run: Run
  readonly node: NodeAdmission
  readonly audit: MemorySink
}

export async function openBank(
  options: Partial<AgentPortOptions> = {},
  { graph = BANK_GRAPH, ...runOptions }: Partial<RunOptions> = {},
): Promise<Bank> {
  const clock = manualClock()
  const skills = [bundleOf(BANK_MANIFEST, 'bank')]
  const { port, audit } = await openPort({ skills, policy: bankPolicy(), clock, ...options })
  const run = await port.openRun({ graph, principal: 'ann', id: 'run-1', ...runOptions })
  return { clock, port, run, node: await run.admit('clerk'), audit }
}

/** `allow`, or the code of the refusal. */
export async function ask(node: NodeAdmission, request: CallRequest): Promise<'allow' | DenialCode> {
  return answerOf(await node.authorize(request))
}

export function answerOf(call: Call): 'allow' | DenialCode {
  return call.decision === 'allow' ? 'allow' : call.denial.code
}

export async function allowed(
  node: NodeAdmission,
  request: CallRequest,
): Promise<Extract<Call, { decision: 'allow' }>> {
  const call = await node.authorize(request)
  if (call.decision !== 'allow') throw new Error(`${call.denial.code}: ${call.denial.detail}`)
  return call
}

export async function refusedCall(
  node: NodeAdmission,
  request: CallRequest,
): Promise<Exclude<Call, { decision: 'allow' }>> {
  const call = await node.authorize(request)
  if (call.decision === 'allow') throw new Error('allowed')
  return call
}

/** Records of these types, parsed; of all types when none is given. */
export function recordsOf(audit: MemorySink, ...types: readonly string[]): readonly Record<string, unknown>[] {
  return audit.lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ type }) => types.length === 0 || types.includes(type as string))
}

/** A store that counts for real and writes down what it is asked. */
export class WatchedStore implements LimitStore {
  readonly told: string[] = []
  readonly leases: string[] = []
  readonly lifetimes: number[] = []
  readonly #store: MemoryLimitStore

  constructor(clock: ManualClock) {
    this.#store = new MemoryLimitStore({ clock })
  }

  reserve: LimitStore['reserve'] = (charges, lease, leaseMs) => {
    this.leases.push(lease)
    this.lifetimes.push(leaseMs)
    const answer: Reservation = this.#store.reserve(charges, lease, leaseMs)
    this.told.push(answer.ok ? 'taken' : 'full')
    return answer
  }

  release: LimitStore['release'] = (charges, lease, how) => {
    this.told.push(how)
    this.#store.release(charges, lease, how)
  }

  forgetRun: LimitStore['forgetRun'] = (run) => {
    this.told.push(`forget ${run}`)
    this.#store.forgetRun(run)
  }
}

/** What can be awaited and is no promise. */
export function thenable(then: (done: (value: unknown) => void, failed: (error: unknown) => void) => void): never {
  return Object.defineProperty({}, 'then', { value: then }) as never
}

/** Lets everything run that is ready to. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0))
}
