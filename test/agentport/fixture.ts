// A gateway in memory: one skill pinned by digest, two tools, one small policy. What most facade tests start from.

import type { SkillBundle } from '../../src/attestation/bundle.ts'
import { examineBundle } from '../../src/attestation/examine.ts'
import {
  AgentPort,
  type AgentPortOptions,
  type Confinement,
  type EnforcementReport,
  type Enforcer,
  type EnforcerFact,
  EventQueue,
  FEATURES,
  type KillReport,
  type MemorySink,
  memorySink,
  type NodeAdmission,
  type Profile,
  type Run,
  systemClock,
} from '../../src/index.ts'

export const MANIFEST = `
skill: web
tools:
  - name: http_get
    input_schema:
      type: object
      properties: { url: { type: string }, note: { type: string }, method: { type: string } }
      required: [url]
      additionalProperties: false
    resources: [{ from: /url, kind: url }]
  - name: read_file
    input_schema:
      type: object
      properties: { path: { type: string } }
      required: [path]
      additionalProperties: false
    resources: [{ from: /path, kind: path, access: read }]
  - name: ping
    input_schema: { type: object, additionalProperties: false }
allowed_hosts: ["api.example.com", "*.evil.example"]
readable_paths: ["/srv/data/**"]
`

export const POLICY = `version: 1
name: test
rules:
  - id: get-api
    effect: permit
    nodes: ["*"]
    tools: [http_get]
    hosts: ["api.example.com", "*.evil.example"]
  - id: no-evil
    effect: forbid
    nodes: ["*"]
    tools: ["*"]
    hosts: ["**.evil.example"]
    reason: known bad
  - id: read-data
    effect: permit
    nodes: ["*"]
    tools: [read_file]
    paths: { read: ["/srv/data/**"] }
  - id: ask-secrets
    effect: require_approval
    nodes: ["*"]
    tools: [read_file]
    paths: { read: ["/srv/data/secret/**"] }
  - id: ping
    effect: permit
    nodes: ["*"]
    tools: [ping]
`

export const GRAPH = {
  nodes: {
    fetch: { skill: 'web', toolScope: ['http_get', 'read_file', 'ping'] },
    publish: { skill: 'web', after: ['fetch'], toolScope: ['ping'] },
    aside: { skill: 'web', toolScope: ['ping'] },
  },
}

/** A bundle of one manifest file. */
export function bundleOf(manifest: string = MANIFEST, name = 'web'): SkillBundle {
  const source = { file: 'manifest.yaml', text: manifest }
  return {
    name,
    files: [{ path: 'manifest.yaml', executable: false, bytes: new TextEncoder().encode(manifest) }],
    manifest: source,
  }
}

export function digestOf(bundle: SkillBundle): string {
  const examined = examineBundle(bundle)
  if (!examined.ok) throw new Error(examined.reason)
  return `sha256:${examined.skill.gitTree}`
}

/** Trust that pins exactly these bundles. */
export function pin(...bundles: readonly SkillBundle[]): object {
  return { version: 1, pinned: bundles.map((bundle) => ({ skill: bundle.name, digest: digestOf(bundle) })) }
}

export async function openPort(
  options: Partial<AgentPortOptions> = {},
): Promise<{ port: AgentPort; audit: MemorySink }> {
  const audit = memorySink()
  const skills = options.skills ?? [bundleOf()]
  const port = await AgentPort.open({
    policy: { file: 'policy.yaml', text: POLICY },
    trust: pin(...skills),
    audit,
    env: {},
    ...options,
    skills,
  })
  return { port, audit }
}

export async function openNode(
  options: Partial<AgentPortOptions> = {},
  graph: object = GRAPH,
): Promise<{ port: AgentPort; run: Run; node: NodeAdmission; audit: MemorySink }> {
  const { port, audit } = await openPort(options)
  const run = await port.openRun({ graph, principal: 'tester', id: 'run-1' })
  return { port, run, node: await run.admit('fetch'), audit }
}

/** Types of the records written so far, in order. */
export function recordTypes(audit: MemorySink): readonly string[] {
  return audit.lines.map((line) => (JSON.parse(line) as { type: string }).type)
}

/** A box with no process in it: what is told of it, the test says. */
export class ScriptedBox implements Confinement {
  readonly profile: Profile
  readonly signal: AbortSignal | undefined
  readonly report: EnforcementReport
  readonly queue = new EventQueue(systemClock)
  events: Confinement['events'] = this.queue
  /** What the programs do that are spawned in it. They end at once. */
  facts: readonly EnforcerFact[] = []
  kills = 0
  closes = 0
  #pid = 100

  constructor(profile: Profile, signal: AbortSignal | undefined, report: EnforcementReport) {
    this.profile = profile
    this.signal = signal
    this.report = report
  }

  tell(...facts: readonly EnforcerFact[]): void {
    for (const fact of facts) this.queue.push(fact)
  }

  spawn: Confinement['spawn'] = async ({ file }) => {
    this.#pid += 1
    const pid = this.#pid
    this.tell({ type: 'started', pid, file }, ...this.facts, { type: 'exited', pid, code: 0 })
    return {
      pid,
      stdout: new ReadableStream(),
      stderr: new ReadableStream(),
      exited: Promise.resolve({ code: 0 }),
    }
  }

  kill(): Promise<KillReport> {
    this.kills += 1
    return Promise.resolve({ enforcement: 'kernel', outcome: 'clean', mechanism: 'script', unreaped: [] })
  }

  async close(): Promise<void> {
    this.closes += 1
    this.queue.end()
  }
}

/** What a box reports that enforces everything, but for `features`. */
export function reportOf(features: Partial<EnforcementReport['features']> = {}): EnforcementReport {
  const all = Object.fromEntries(
    FEATURES.map((feature) => [feature, { status: 'enforced', mechanism: 'script', visibility: 'reported' }]),
  )
  return {
    enforcer: 'scripted',
    enforcement: 'kernel',
    confined: true,
    features: { ...all, ...features } as EnforcementReport['features'],
  }
}

export function scriptedEnforcer(
  report: EnforcementReport = reportOf(),
  prepare: (box: ScriptedBox) => void = () => undefined,
): { enforcer: Enforcer; boxes: ScriptedBox[] } {
  const boxes: ScriptedBox[] = []
  const enforcer: Enforcer = {
    name: 'scripted',
    probe: () => Promise.reject(new Error('not asked')),
    open: (profile, options) => {
      const box = new ScriptedBox(profile, options?.signal, report)
      prepare(box)
      boxes.push(box)
      return Promise.resolve(box)
    },
  }
  return { enforcer, boxes }
}
