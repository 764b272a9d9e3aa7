// A second reading of the policy language, slow and obvious: every rule is looked at, nothing is indexed or compiled
// ahead, and patterns are matched by recursion. Written from the format, not from the engine, so that the two can
// disagree. It takes well-formed documents; what makes a document ill-formed is the loader's business.

import type { JsonObject, JsonValue } from '../../src/core/json.ts'
import type { Resource } from '../../src/core/resource.ts'
import type { RawCondition, RawPolicy, RawRule } from '../../src/policy/schema.ts'

export interface ReferenceRequest {
  readonly node: string
  readonly roles?: readonly string[]
  readonly skill?: string
  readonly tool: string
  readonly args: JsonObject
  readonly resources: readonly Resource[]
}

export interface ReferenceVerdict {
  readonly decision: 'allow' | 'deny' | 'escalate'
  readonly code?: string
  /** Ids of the determining rules, sorted. */
  readonly rules: readonly string[]
}

/** Yes, no, or cannot be told. */
type Answer = 'yes' | 'no' | 'untold'

export function referenceVerdict(policies: readonly RawPolicy[], request: ReferenceRequest): ReferenceVerdict {
  const asserted = request.roles ?? []
  if (asserted.some((role) => !policies.some((policy) => roleOf(policy, role)?.asserted === true))) {
    return { decision: 'deny', code: 'role_unknown', rules: [] }
  }
  const concerned = policies
    .flatMap((policy) => policy.rules)
    .filter((rule) => !isOfProcessesAlone(rule) && isAbout(policies, rule, request))
  const judged = concerned.map((rule) => ({
    rule,
    args: conditionsHold(rule, request.args),
    touched: rule.effect !== 'permit' && isTouched(rule, request.resources),
  }))
  const stops = (effect: string, args: Answer): string[] =>
    judged
      .filter((one) => one.rule.effect === effect && one.args === args && one.touched)
      .map((one) => one.rule.id)
      .sort()

  const forbids = stops('forbid', 'yes')
  if (forbids.length > 0) return { decision: 'deny', code: 'forbidden', rules: forbids }
  const untoldForbids = stops('forbid', 'untold')
  if (untoldForbids.length > 0) return { decision: 'deny', code: 'policy_error', rules: untoldForbids }
  const untoldApprovals = stops('require_approval', 'untold')
  if (untoldApprovals.length > 0) return { decision: 'deny', code: 'policy_error', rules: untoldApprovals }

  const approvals = stops('require_approval', 'yes')
  const granting = judged
    .filter((one) => one.args === 'yes')
    .map((one) => one.rule)
    .filter((rule) => rule.effect === 'permit' || approvals.includes(rule.id))
  const chosen: string[] = []
  if (request.resources.length === 0) {
    const first = granting.map((rule) => rule.id).sort()[0]
    if (first === undefined) return { decision: 'deny', code: 'no_matching_permit', rules: [] }
    chosen.push(first)
  }
  for (const resource of request.resources) {
    const covering = granting.filter((rule) => covers(rule, resource)).map((rule) => rule.id)
    const first = covering.sort()[0]
    if (first === undefined) return { decision: 'deny', code: 'no_matching_permit', rules: [] }
    if (!chosen.includes(first)) chosen.push(first)
  }
  if (approvals.length > 0) return { decision: 'escalate', code: 'approval_required', rules: approvals }
  return { decision: 'allow', rules: chosen.sort() }
}

/** A rule that lists something, and nothing of what a call can name, is not about calls. */
export function isOfProcessesAlone({ hosts, paths, binaries, env, libraries, process_rights }: RawRule): boolean {
  const ofProcesses = paths?.execute ?? libraries ?? process_rights
  const ofCalls = hosts ?? paths?.read ?? paths?.write ?? binaries ?? env
  return ofProcesses !== undefined && ofCalls === undefined
}

// Who, which skill, which tool

function isAbout(policies: readonly RawPolicy[], rule: RawRule, request: ReferenceRequest): boolean {
  if (!rule.tools.some((pattern) => nameMatches(pattern, request.tool))) return false
  if (rule.nodes !== undefined && !rule.nodes.some((pattern) => nameMatches(pattern, request.node))) return false
  if (rule.roles !== undefined && !rule.roles.some((role) => role === '*' || hasRole(policies, request, role)))
    return false
  if (rule.skills === undefined) return true
  // No known skill: a grant for certain skills is not for this call, and a forbid for certain skills might be.
  if (request.skill === undefined) return rule.effect !== 'permit'
  const { skill } = request
  return rule.skills.some((pattern) => nameMatches(pattern, skill))
}

function hasRole(policies: readonly RawPolicy[], request: ReferenceRequest, role: string): boolean {
  if (request.roles?.includes(role) === true) return true
  return policies.some(
    (policy) => roleOf(policy, role)?.nodes?.some((pattern) => nameMatches(pattern, request.node)) === true,
  )
}

function roleOf(policy: RawPolicy, name: string): NonNullable<RawPolicy['roles']>[string] | undefined {
  return Object.entries(policy.roles ?? {}).find(([key]) => key === name)?.[1]
}

// Arguments

function conditionsHold(rule: RawRule, args: JsonObject): Answer {
  return all(Object.entries(rule.args ?? {}).map(([pointer, condition]) => conditionHolds(condition, pointer, args)))
}

function conditionHolds(condition: RawCondition, pointer: string, args: JsonObject): Answer {
  const found = follow(args, pointer.split('/').slice(1))
  if (found === undefined) return condition.optional === true ? 'no' : 'untold'
  const { equals, one_of, min, max, min_length, max_length, glob } = condition
  const answers: Answer[] = []
  if (equals !== undefined) answers.push(kind(found) === kind(equals) ? yesIf(found === equals) : 'untold')
  if (one_of !== undefined) {
    answers.push(
      one_of.some((one) => kind(one) === kind(found)) ? yesIf(one_of.some((one) => one === found)) : 'untold',
    )
  }
  const measure = (low: number | undefined, high: number | undefined, value: number | undefined): void => {
    if (low === undefined && high === undefined) return
    if (value === undefined) answers.push('untold')
    else answers.push(yesIf(value >= (low ?? Number.NEGATIVE_INFINITY) && value <= (high ?? Number.POSITIVE_INFINITY)))
  }
  measure(min, max, typeof found === 'number' ? found : undefined)
  measure(min_length, max_length, typeof found === 'string' || Array.isArray(found) ? found.length : undefined)
  if (glob !== undefined) {
    const fold = (text: string): string => (condition.ignore_case === true ? text.toLowerCase() : text)
    answers.push(typeof found === 'string' ? yesIf(globMatches([...fold(glob)], [...fold(found)])) : 'untold')
  }
  return all(answers)
}

/** No beats untold beats yes: one condition that fails settles a conjunction, whatever the others are. */
function all(answers: readonly Answer[]): Answer {
  if (answers.includes('no')) return 'no'
  return answers.includes('untold') ? 'untold' : 'yes'
}

function yesIf(value: boolean): Answer {
  return value ? 'yes' : 'no'
}

function follow(value: JsonValue, tokens: readonly string[]): JsonValue | undefined {
  const [token, ...rest] = tokens
  if (token === undefined) return value
  if (value === null || typeof value !== 'object') return undefined
  const member = Object.entries(value).find(([key]) => key === token.replaceAll('~1', '/').replaceAll('~0', '~'))
  return member === undefined ? undefined : follow(member[1] as JsonValue, rest)
}

function kind(value: JsonValue): string {
  return value === null ? 'null' : typeof value
}

/** The same few patterns are read for every request. */
function remembered<T>(read: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>()
  return (text) => {
    if (!known.has(text)) known.set(text, read(text))
    return known.get(text) as T
  }
}

// Resources: a permit must cover each, a forbid or an approval is touched by one

function covers(rule: RawRule, resource: Resource): boolean {
  switch (resource.kind) {
    case 'network':
      return (rule.hosts ?? []).some((pattern) => hostCovers(pattern, resource))
    case 'path':
      return (rule.paths?.[resource.access] ?? []).some((pattern) => pathMatches(pattern, resource.path))
    case 'binary':
      return (rule.binaries ?? []).some((pattern) => pathMatches(pattern, resource.path))
    case 'env':
      return (rule.env ?? []).includes(resource.name)
  }
}

function isTouched(rule: RawRule, resources: readonly Resource[]): boolean {
  const lists = [rule.hosts, rule.paths?.read, rule.paths?.write, rule.binaries, rule.env]
  if (lists.every((list) => list === undefined)) return true
  return resources.some((resource) =>
    resource.kind === 'network'
      ? (rule.hosts ?? []).some((pattern) => hostTouches(pattern, resource))
      : covers(rule, resource),
  )
}

type Network = Extract<Resource, { kind: 'network' }>

interface HostParts {
  readonly scheme: string | undefined
  readonly host: string
  readonly port: string | undefined
}

const splitHost = remembered((pattern: string): HostParts => {
  const [, scheme, bracketed, plain, port] =
    /^(?:([a-z]+):\/\/)?(?:\[([^\]]+)\]|([^:]+|[0-9a-f:/]+:[0-9a-f:/]*))(?::(\d+|\*))?$/.exec(pattern) ?? []
  return { scheme, host: bracketed ?? plain ?? '', port }
})

/** A grant reaches a destination only when scheme, port and host are all known to be meant. */
function hostCovers(pattern: string, network: Network): boolean {
  const { scheme, host, port } = splitHost(pattern)
  if (scheme !== undefined && scheme !== network.scheme) return false
  if (!portCovers(port, scheme ?? network.scheme, network.port)) return false
  const address = addressOf(network)
  if (address === undefined) return host === '*' || hostNameMatches(host, network.host.text)
  const block = blockOf(host)
  if (block === undefined || !inBlock(block, address)) return false
  // A grant for many addresses does not speak of the unspecified one, which is dialled as loopback.
  return block.prefix >= (address.value === 0n ? address.bits : tunnelPrefix(address))
}

function portCovers(written: string | undefined, scheme: string | undefined, port: number | undefined): boolean {
  if (written === '*') return true
  if (written !== undefined) return port === Number(written)
  if (port === undefined) return true
  if (scheme === undefined) return port === 80 || port === 443
  return port === (scheme === 'http' || scheme === 'ws' ? 80 : 443)
}

/** A forbid reaches a destination when nothing that is known excludes it. */
function hostTouches(pattern: string, network: Network): boolean {
  const { scheme, host, port } = splitHost(pattern)
  // An Upgrade header turns http into ws and https into wss.
  const plain = (one: string): boolean => one === 'http' || one === 'ws'
  if (scheme !== undefined && network.scheme !== undefined && plain(scheme) !== plain(network.scheme)) return false
  if (port !== undefined && port !== '*' && network.port !== undefined && Number(port) !== network.port) return false
  if (host === '*') return true
  const { names, addresses } = readings(network)
  const block = blockOf(host)
  if (block === undefined) return names.some((name) => hostNameMatches(host, name))
  return addresses.some((address) => inBlock(block, address))
}

/** Every name and address that may be dialled when the call says this host. */
function readings(network: Network): { readonly names: readonly string[]; readonly addresses: readonly Address[] } {
  const { text } = network.host
  const address = addressOf(network)
  const names = address === undefined ? [text] : []
  const addresses = address === undefined ? [] : [address, ...tunnelled(address)]
  // Unspecified is dialled as loopback, and localhost is loopback by RFC 6761 §6.3: three names of this machine.
  const isThisMachine =
    names.some((name) => name === 'localhost' || name.endsWith('.localhost')) ||
    addresses.some((one) => THIS_MACHINE.some((block) => inBlock(block, one)))
  if (!isThisMachine) return { names, addresses }
  return { names: [...names, 'localhost'], addresses: [...addresses, ...LOOPBACK] }
}

function hostNameMatches(pattern: string, name: string): boolean {
  const labels = name.split('.')
  if (pattern.startsWith('**.'))
    return labels.some((_, index) => index > 0 && labels.slice(index).join('.') === pattern.slice(3))
  if (pattern.startsWith('*.')) return labels.slice(1).join('.') === pattern.slice(2)
  return name === pattern
}

// Addresses, as numbers of 32 or 128 bits

interface Address {
  readonly bits: 32 | 128
  readonly value: bigint
}

interface Block extends Address {
  readonly prefix: number
}

function addressOf(network: Network): Address | undefined {
  return network.host.kind === 'name' ? undefined : parseAddress(network.host.text)
}

const blockOf = remembered((text: string): Block | undefined => {
  const [address = '', prefix] = text.split('/')
  const parsed = parseAddress(address)
  return parsed === undefined ? undefined : { ...parsed, prefix: prefix === undefined ? parsed.bits : Number(prefix) }
})

function inBlock(block: Block, address: Address): boolean {
  const rest = BigInt(block.bits - block.prefix)
  return block.bits === address.bits && block.value >> rest === address.value >> rest
}

function parseAddress(text: string): Address | undefined {
  if (/^[0-9]+(?:\.[0-9]+){3}$/.test(text)) return { bits: 32, value: digits(text.split('.'), 10, 256n) }
  if (!text.includes(':')) return undefined
  const [head = '', tail] = text.split('::')
  const groups = (part: string): string[] => (part === '' ? [] : part.split(':'))
  const before = groups(head)
  const after = tail === undefined ? [] : groups(tail)
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0')
  return { bits: 128, value: digits([...before, ...zeros, ...after], 16, 0x1_0000n) }
}

function digits(parts: readonly string[], radix: number, base: bigint): bigint {
  return parts.reduce((sum, part) => sum * base + BigInt(Number.parseInt(part, radix)), 0n)
}

// Two forms of IPv6 address that something on the way turns into an IPv4 destination: NAT64 (RFC 6052) and 6to4 (RFC 3056).
const TUNNELS = [
  { block: blockOf('64:ff9b::/96'), shift: 0n },
  { block: blockOf('2002::/16'), shift: 80n },
]

const THIS_MACHINE = ['0.0.0.0', '127.0.0.0/8', '::', '::1'].flatMap((text) => blockOf(text) ?? [])
const LOOPBACK = ['127.0.0.1', '::1'].flatMap((text) => parseAddress(text) ?? [])

function tunnelled(address: Address): Address[] {
  return TUNNELS.filter(({ block }) => block !== undefined && inBlock(block, address)).map(({ shift }) => ({
    bits: 32,
    value: (address.value >> shift) & 0xffff_ffffn,
  }))
}

/** A grant for half of the IPv6 space does not speak of the tunnel that lies in it. */
function tunnelPrefix(address: Address): number {
  return Math.max(0, ...TUNNELS.map(({ block }) => (block !== undefined && inBlock(block, address) ? block.prefix : 0)))
}

// Globs

function pathMatches(pattern: string, path: string): boolean {
  const segments = (text: string): string[] => text.split('/').filter((segment) => segment !== '')
  return segmentsMatch(segments(pattern), segments(path))
}

function segmentsMatch(pattern: readonly string[], path: readonly string[]): boolean {
  const [first, ...rest] = pattern
  if (first === undefined) return path.length === 0
  if (first === '**') return segmentsMatch(rest, path) || (path.length > 0 && segmentsMatch(pattern, path.slice(1)))
  return path[0] !== undefined && globMatches([...first], [...path[0]]) && segmentsMatch(rest, path.slice(1))
}

function nameMatches(pattern: string, name: string): boolean {
  return /^[A-Za-z0-9_.:-]+$/.test(name) && globMatches([...pattern], [...name])
}

function globMatches(pattern: readonly string[], text: readonly string[]): boolean {
  const [first, ...rest] = pattern
  if (first === undefined) return text.length === 0
  if (first === '*') return globMatches(rest, text) || (text.length > 0 && globMatches(pattern, text.slice(1)))
  const [character, ...others] = text
  if (character === undefined) return false
  if (first === '[') {
    const end = pattern.indexOf(']')
    const members = pattern.slice(1, end)
    const negated = members[0] === '!'
    return members.includes(character) !== negated && globMatches(pattern.slice(end + 1), others)
  }
  return (first === '?' || first === character) && globMatches(rest, others)
}
