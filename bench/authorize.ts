// The whole way of a call: authorize() of an admitted node, from raw arguments to the verdict and its audit record, which
// is kept in memory. Settling is measured apart: the tool runs in between.

import { examineBundle } from '../src/attestation/examine.ts'
import { AgentPort, type Call, memorySink, type NodeAdmission, type SkillBundle } from '../src/index.ts'
import { percentile } from './measure.ts'

export interface AuthorizeResult {
  readonly rules: number
  readonly calls: readonly {
    readonly name: string
    readonly p50Micros: number
    readonly p99Micros: number
    readonly samples: number
  }[]
}

const SITES = 20

const MANIFEST = `
skill: web
tools:
  - name: http_get
    input_schema:
      type: object
      properties: { url: { type: string }, method: { enum: [GET, HEAD] }, note: { type: string, maxLength: 1000 } }
      required: [url]
      additionalProperties: false
    resources: [{ from: /url, kind: url }]
allowed_hosts: [${sites().join(', ')}]
`
const RULES = 1_000
const WARM_UP = 2_000
/** Calls of one node; a fresh run after that keeps its bookkeeping at the size of a long real one. */
const CALLS_PER_RUN = 5_000

export async function measureAuthorize(budgetMs: number): Promise<AuthorizeResult> {
  const bytes = new TextEncoder().encode(MANIFEST)
  const skill: SkillBundle = {
    name: 'web',
    files: [{ path: 'manifest.yaml', executable: false, bytes }],
    manifest: { file: 'manifest.yaml', text: MANIFEST },
  }
  const examined = examineBundle(skill)
  if (!examined.ok) throw new Error(examined.reason)
  const port = await AgentPort.open({
    policy: { name: 'bench', value: policy() },
    skills: [skill],
    trust: { version: 1, pinned: [{ skill: 'web', digest: `sha256:${examined.skill.gitTree}` }] },
    audit: memorySink(),
    env: {},
  })
  let admitted = await admit(port, 0)
  let calls = 0
  const ask = async (method: string): Promise<Call> => {
    if (++calls % CALLS_PER_RUN === 0) admitted = await admit(port, calls)
    // Every call has its own arguments: the same refused call again and again would end the node.
    const url = `https://www.site${calls % SITES}.example.com/page/${calls}?q=prices`
    return admitted.authorize({ tool: 'http_get', args: { url, method } })
  }
  const allowed = async (): Promise<void> => expectDecision(await ask('GET'), 'allow')
  const denied = async (): Promise<void> => expectDecision(await ask('HEAD'), 'deny')
  const settled = async (): Promise<void> => {
    const call = await ask('GET')
    if (call.decision === 'allow') await call.settle('ok')
  }
  const results = []
  for (const [name, call] of Object.entries({
    'authorize, allowed': allowed,
    'authorize, denied': denied,
    'authorize and settle': settled,
  })) {
    for (let round = 0; round < WARM_UP; round++) await call()
    const times = await timeEach(call, budgetMs)
    results.push({ name, p50Micros: percentile(times, 0.5), p99Micros: percentile(times, 0.99), samples: times.length })
  }
  await port.close()
  return { rules: RULES, calls: results }
}

async function admit(port: AgentPort, id: number): Promise<NodeAdmission> {
  const graph = { nodes: { fetch: { skill: 'web', toolScope: ['http_get'] } } }
  const run = await port.openRun({ graph, principal: 'bench', id: `run-${id}` })
  return run.admit('fetch')
}

function expectDecision(call: Call, decision: Call['decision']): void {
  if (call.decision !== decision) throw new Error(`${decision} expected: ${JSON.stringify(call.verdict)}`)
}

function sites(): string[] {
  return Array.from({ length: SITES }, (_, index) => `"*.site${index}.example.com"`)
}

/** Permits for the sites of the skill, among many for other tools. */
function policy(): object {
  const rules = Array.from({ length: RULES }, (_, index) => ({
    id: `r${index}`,
    effect: 'permit',
    nodes: ['fetch'],
    tools: [index < SITES ? 'http_get' : `tool-${index}`],
    hosts: [`*.site${index}.example.com`],
    args: { '/method': { equals: 'GET' } },
  }))
  return { version: 1, rules }
}

/** Microseconds of single awaited calls, sorted. */
async function timeEach(call: () => Promise<void>, budgetMs: number): Promise<Float64Array> {
  const times: number[] = []
  const until = performance.now() + budgetMs
  while (performance.now() < until) {
    const start = process.hrtime.bigint()
    await call()
    times.push(Number(process.hrtime.bigint() - start) / 1000)
  }
  return Float64Array.from(times).sort()
}
