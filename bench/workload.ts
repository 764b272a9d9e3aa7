// The workload every engine is timed on: N rules over roles, tools and one target each, and 2,000 requests of which
// exactly half are allowed. All of it follows from the seed, and `checkWorkload` proves that it is the published one.

import { createHash } from 'node:crypto'

export type TargetKind = 'host' | 'path' | 'cidr'

export interface WorkloadRule {
  readonly id: string
  effect: 'permit' | 'forbid'
  readonly role: string
  readonly tool: string
  readonly kind: TargetKind
  readonly pattern: string
  readonly maxBytes: number
  readonly methods: readonly string[]
}

/** Target fields of another kind than `kind` hold `''`, `'0.0.0.0'` and `0`. */
export interface WorkloadRequest {
  node: string
  role: string
  tool: string
  kind: TargetKind
  host: string
  path: string
  ip: string
  ipNum: number
  bytes: number
  method: string
}

export interface Workload {
  readonly rules: readonly WorkloadRule[]
  readonly reqs: readonly WorkloadRequest[]
}

export const VARIANTS = ['sparse', 'dense'] as const
export type Variant = (typeof VARIANTS)[number]

export const SIZES: readonly number[] = [10, 100, 1_000, 10_000]

const KINDS = ['host', 'path', 'cidr'] as const
const METHODS = ['GET', 'POST', 'PUT', 'DELETE'] as const
const SEED = 42
const REQUESTS = 2_000

/** First 16 hex digits of the SHA-256 of the workload's JSON text, by variant and size. */
const CHECK_VALUES: Readonly<Record<Variant, Readonly<Record<number, string>>>> = {
  sparse: { 10: '80dd0b76a6995601', 100: 'a8c3b831e389f091', 1000: 'e242f31bb45ee538', 10000: '0e62deb5b9a07308' },
  dense: { 10: 'e0edc26e038ec4af', 100: '970545524b75cad2', 1000: 'f60c542affeb230e', 10000: '868bce4158a0e95f' },
}

/** mulberry32: numbers in [0, 1) that depend on the seed alone. */
function randomNumbers(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** The order of draws is part of the definition: a draw moved is another workload. */
export function makeWorkload(size: number, variant: Variant): Workload {
  const random = randomNumbers(SEED + size)
  const below = (limit: number): number => Math.floor(random() * limit)
  const oneOf = <T>(list: readonly T[]): T => at(list, below(list.length))

  const roles = variant === 'dense' ? 4 : Math.max(5, Math.round(size / 50))
  const tools = variant === 'dense' ? 10 : 20
  const rules: WorkloadRule[] = []
  for (let index = 0; index < size; index++) rules.push(makeRule(index))
  if (!rules.some((rule) => rule.effect === 'permit')) at(rules, 0).effect = 'permit'
  const permits = rules.filter((rule) => rule.effect === 'permit')
  const forbids = rules.filter((rule) => rule.effect === 'forbid')

  const half = REQUESTS / 2
  const reqs: WorkloadRequest[] = []
  let allowed = 0
  let denied = 0
  for (let guard = 0; (allowed < half || denied < half) && guard < 2e6; guard++) {
    const request = allowed < half && random() < 0.5 ? requestFor(oneOf(permits)) : doubtfulRequest()
    if (allows(rules, request)) {
      if (allowed === half) continue
      allowed++
    } else {
      if (denied === half) continue
      denied++
    }
    reqs.push(request)
  }
  for (let last = reqs.length - 1; last > 0; last--) {
    const other = below(last + 1)
    const swapped = at(reqs, last)
    reqs[last] = at(reqs, other)
    reqs[other] = swapped
  }
  return { rules, reqs }

  function makeRule(index: number): WorkloadRule {
    const kind = oneOf(KINDS)
    const target = below(size * 2)
    const pattern = patternOf(kind, target)
    const methods: string[] = METHODS.filter(() => random() < 0.6)
    if (methods.length === 0) methods.push('GET')
    const effect = random() < 0.9 ? 'permit' : 'forbid'
    const role = `role${below(roles)}`
    const tool = `tool${below(tools)}`
    return { id: `r${index}`, effect, role, tool, kind, pattern, maxBytes: 1000 + below(100_000), methods }
  }

  function patternOf(kind: TargetKind, target: number): string {
    if (kind === 'host') return random() < 0.5 ? `*.svc${target}.example.com` : `api${target}.example.org`
    if (kind === 'path') return `/srv/p${target}/**`
    return `10.${target % 256}.${(target >> 8) % 256}.0/24`
  }

  /** A request the rule matches. */
  function requestFor(rule: WorkloadRule): WorkloadRequest {
    const node = `node${below(1000)}`
    const bytes = below(rule.maxBytes)
    const method = oneOf(rule.methods)
    const { role, tool, kind, pattern } = rule
    const request: WorkloadRequest = {
      node,
      role,
      tool,
      kind,
      host: '',
      path: '',
      ip: '0.0.0.0',
      ipNum: 0,
      bytes,
      method,
    }
    if (kind === 'host') request.host = pattern.startsWith('*.') ? `h${below(100)}${pattern.slice(1)}` : pattern
    else if (kind === 'path') request.path = `${pattern.slice(0, -2)}d${below(50)}/f${below(500)}.txt`
    else {
      request.ipNum = networkRange(pattern)[0] + 1 + below(200)
      request.ip = [24, 16, 8, 0].map((shift) => (request.ipNum >>> shift) & 255).join('.')
    }
    return request
  }

  /** A request for a forbid, or one for a permit with one facet spoiled. */
  function doubtfulRequest(): WorkloadRequest {
    // The definition draws a request here and throws it away.
    requestFor(at((forbids.length > 0 && random() < 0.3 ? forbids : permits) as readonly WorkloadRule[], below(1)))
    const rule = random() < 0.25 && forbids.length > 0 ? oneOf(forbids) : oneOf(permits)
    const request = requestFor(rule)
    const facet = below(5)
    if (rule.effect === 'forbid') return request
    switch (facet) {
      case 0:
        request.role = 'role-none'
        break
      case 1:
        request.tool = 'tool-none'
        break
      case 2:
        if (request.kind === 'host') request.host = 'evil.attacker.test'
        else if (request.kind === 'path') request.path = '/etc/passwd'
        else {
          request.ip = '169.254.169.254'
          request.ipNum = addressNumber(request.ip)
        }
        break
      case 3:
        request.bytes = 5e6
        break
      default:
        request.method = 'TRACE'
    }
    return request
  }
}

/** The verdict by definition: any matching forbid denies, else any matching permit allows, else deny. */
export function allows(rules: readonly WorkloadRule[], request: WorkloadRequest): boolean {
  let permitted = false
  for (const rule of rules) {
    if (rule.role !== request.role || rule.tool !== request.tool || rule.kind !== request.kind) continue
    if (request.bytes > rule.maxBytes || !rule.methods.includes(request.method)) continue
    if (!targetMatches(rule, request)) continue
    if (rule.effect === 'forbid') return false
    permitted = true
  }
  return permitted
}

function targetMatches(rule: WorkloadRule, request: WorkloadRequest): boolean {
  if (rule.kind === 'path') return request.path.startsWith(rule.pattern.slice(0, -2))
  if (rule.kind === 'cidr') {
    const [low, high] = networkRange(rule.pattern)
    return request.ipNum >= low && request.ipNum <= high
  }
  if (!rule.pattern.startsWith('*.')) return request.host === rule.pattern
  const suffix = rule.pattern.slice(1)
  const label = request.host.slice(0, -suffix.length)
  return request.host.endsWith(suffix) && label !== '' && !label.includes('.')
}

/** First and last address of an IPv4 network, as numbers. */
export function networkRange(cidr: string): readonly [low: number, high: number] {
  const [base = '', prefix = ''] = cidr.split('/')
  const count = 2 ** (32 - Number(prefix))
  const low = Math.floor(addressNumber(base) / count) * count
  return [low, low + count - 1]
}

function addressNumber(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
}

/** Throws unless `workload` is, byte for byte, the one whose results were published. */
export function checkWorkload(workload: Workload, size: number, variant: Variant): void {
  const expected = CHECK_VALUES[variant][size]
  if (expected === undefined) return
  const digest = createHash('sha256').update(JSON.stringify(workload)).digest('hex').slice(0, 16)
  if (digest !== expected) throw new Error(`workload ${size} ${variant} is ${digest}, not ${expected}`)
}

function at<T>(list: readonly T[], index: number): T {
  const value = list[index]
  if (value === undefined) throw new RangeError(`no element ${index}`)
  return value
}
