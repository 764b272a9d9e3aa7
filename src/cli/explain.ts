// `agentport explain`: what does the policy say to this call, and why?

import { readFileSync } from 'node:fs'
import type { JsonObject, JsonValue } from '../core/json.ts'
import { parseJson } from '../core/json.ts'
import { formatProblems } from '../core/problem.ts'
import { formatRule, renderForOperator } from '../core/render.ts'
import { printable } from '../core/text.ts'
import { readSource } from '../node/source.ts'
import { PolicyEngine } from '../policy/engine.ts'
import type { Explanation, StatementStanding } from '../policy/explanation.ts'
import { permissionYaml } from '../policy/missing-permission.ts'
import type { PolicyRequest } from '../policy/request.ts'
import { type Command, readOptions, readPairs, UsageError } from './command.ts'
import { policySources, readRequestText, readRequestValue } from './policy-set.ts'

const HELP = `Usage: agentport explain <policy>… --request <file> | --node <name> --tool <name> [options]

Asks the policies about one call and says why: the rules that decided, every other statement about the call, what came near,
and the smallest permission that is missing. All policies form one set; a directory is searched as check does.

  --request file       the request as policy tests write it, YAML or JSON; - is the standard input
  --node, --tool       names
  --role name          a role the graph asserts; repeatable
  --label k=v          a label of the node; repeatable
  --skill, --run, --principal
  --arg /pointer=v     an argument; v is JSON where it can be read as JSON, else a text; repeatable
  --fact /pointer=v    a fact
  --url, --host, --read, --write, --binary, --env, --scope
                       what the arguments name; repeatable
  --method GET         of every --url and --host
  --after, --before    a node upstream, downstream; repeatable
  --data-region name   where the data come from; repeatable
  --now moment         2027-01-31T08:00:00+01:00
  --answer k=true      what another engine answers; k is its name, a space and the query
  --var name=value     value of \${name} in the policies; repeatable
  --all                all misses, not the ten nearest
  --json               print the result as JSON

Exit codes: 0 allow, 1 deny, 3 escalate, 2 it could not be asked.`

const NEAREST = 10
const MANY = { type: 'string', multiple: true } as const
const ONE = { type: 'string' } as const
const EXITS = { allow: 0, deny: 1, escalate: 3 } as const

export const explain: Command = {
  name: 'explain',
  summary: 'ask the policies about one call, and why',
  help: HELP,
  run: async (args, output) => {
    const { values, positionals } = readOptions(args, {
      request: ONE,
      node: ONE,
      tool: ONE,
      role: MANY,
      label: MANY,
      skill: ONE,
      run: ONE,
      principal: ONE,
      arg: MANY,
      fact: MANY,
      url: MANY,
      host: MANY,
      read: MANY,
      write: MANY,
      binary: MANY,
      env: MANY,
      scope: MANY,
      method: ONE,
      after: MANY,
      before: MANY,
      'data-region': MANY,
      now: ONE,
      answer: MANY,
      var: MANY,
      all: { type: 'boolean' },
      json: { type: 'boolean' },
    })
    if (positionals.length === 0) throw new UsageError('name the policies')
    const request = readRequest(values)
    const loaded = PolicyEngine.load(policySources(positionals), { variables: readPairs(values['var'], 'var') })
    if (!loaded.ok) {
      output.err(formatProblems(loaded.problems))
      return 2
    }
    const explanation = loaded.engine.explain(request)
    const most = values['all'] === true ? Number.POSITIVE_INFINITY : NEAREST
    if (values['json'] === true) output.out(JSON.stringify(jsonOf(explanation, most), undefined, 2))
    else output.out(textOf(explanation, most))
    return EXITS[explanation.verdict.decision]
  },
}

function readRequest(values: Record<string, unknown>): PolicyRequest {
  const { request } = values
  if (request === undefined) return readRequestValue(fromOptions(values))
  const others = Object.keys(values).filter((key) => !['request', 'var', 'all', 'json'].includes(key))
  if (others.length > 0) throw new UsageError(`--request is the whole request, and there is also --${others[0]}`)
  if (request !== '-') return readRequestText(readSource(String(request)))
  // YAML reads JSON as well.
  return readRequestText({ file: '(standard input)', text: readFileSync(0, 'utf8'), format: 'yaml' })
}

const list = (value: unknown): readonly string[] => (value ?? []) as readonly string[]

function fromOptions(values: Record<string, unknown>): JsonObject {
  const named = ['url', 'host', 'binary', 'env', 'scope'] as const
  const sent = values['method'] === undefined ? {} : { method: String(values['method']) }
  const resources: JsonValue[] = named.flatMap((kind) =>
    list(values[kind]).map((text) => ({ [kind]: text, ...(kind === 'url' || kind === 'host' ? sent : {}) })),
  )
  for (const access of ['read', 'write'] as const) {
    for (const path of list(values[access])) resources.push({ path, access })
  }
  const texts = (key: string): readonly string[] | undefined => values[key] as readonly string[] | undefined
  const request: Record<string, JsonValue | undefined> = {
    node: values['node'] as string | undefined,
    tool: values['tool'] as string | undefined,
    roles: texts('role'),
    labels: values['label'] === undefined ? undefined : { ...readPairs(values['label'], 'label') },
    skill: values['skill'] as string | undefined,
    args: members(list(values['arg']), 'arg'),
    resources,
    upstream: texts('after'),
    downstream: texts('before'),
    facts: values['fact'] === undefined ? undefined : members(list(values['fact']), 'fact'),
    data_regions: texts('data-region'),
    now: values['now'] as string | undefined,
    run: values['run'] as string | undefined,
    principal: values['principal'] as string | undefined,
    answers: answersOf(values['answer']),
  }
  return Object.fromEntries(Object.entries(request).filter(([, value]) => value !== undefined)) as JsonObject
}

function answersOf(value: unknown): JsonObject | undefined {
  if (value === undefined) return undefined
  return Object.fromEntries(
    Object.entries(readPairs(value, 'answer')).map(([key, text]) => {
      if (text !== 'true' && text !== 'false') throw new UsageError('--answer takes key=true or key=false')
      return [key, text === 'true']
    }),
  )
}

/** `/a/b=1` pairs as one object; what is between is made where it is not there. */
function members(pairs: readonly string[], option: string): JsonObject {
  let root: JsonObject = {}
  for (const pair of pairs) {
    const equals = pair.indexOf('=')
    if (!pair.startsWith('/') || equals < 2) throw new UsageError(`--${option} takes /pointer=value`)
    const tokens = pair
      .slice(1, equals)
      .split('/')
      .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))
    root = withMember(root, tokens, jsonOrText(pair.slice(equals + 1)))
  }
  return root
}

function withMember(
  root: JsonValue | undefined,
  [token = '', ...rest]: readonly string[],
  value: JsonValue,
): JsonObject {
  const base = typeof root === 'object' && root !== null && !Array.isArray(root) ? (root as JsonObject) : {}
  const before = Object.hasOwn(base, token) ? base[token] : undefined
  const entries = Object.entries(base).filter(([key]) => key !== token)
  return Object.fromEntries([...entries, [token, rest.length === 0 ? value : withMember(before, rest, value)]])
}

function jsonOrText(text: string): JsonValue {
  try {
    return parseJson(text)
  } catch {
    return text
  }
}

/** What is neither decided by nor about the call at all is cut to the nearest. */
function shown({ statements }: Explanation, most: number): readonly StatementStanding[] {
  let misses = 0
  return statements.filter(({ standing }) => standing !== 'misses' || misses++ < most)
}

function jsonOf(explanation: Explanation, most: number): unknown {
  const { verdict, egress, permission } = explanation
  const statements = shown(explanation, most)
  return {
    decision: verdict.decision,
    rules: verdict.rules,
    ...(verdict.decision === 'allow' ? {} : { denial: verdict.denial }),
    ...(verdict.decision === 'deny' ? {} : { charges: verdict.charges, obligations: verdict.obligations }),
    ...(verdict.decision === 'escalate' ? { demands: verdict.demands } : {}),
    statements,
    omitted: explanation.statements.length - statements.length,
    ...(egress === undefined ? {} : { egress }),
    ...(permission === undefined ? {} : { permission, yaml: permissionYaml(permission) }),
  }
}

function textOf(explanation: Explanation, most: number): string {
  const { verdict, egress = [], permission } = explanation
  const statements = shown(explanation, most)
  const of = (standing: StatementStanding['standing']): readonly string[] =>
    statements.filter((one) => one.standing === standing).map(standingText)
  const omitted = explanation.statements.length - statements.length
  const terms = verdict.decision === 'deny' ? undefined : verdict
  const yaml = permission === undefined ? '' : permissionYaml(permission)
  return [
    verdict.decision === 'allow' ? 'allow' : `${verdict.decision} ${renderForOperator(verdict.denial)}`,
    ...(verdict.decision === 'allow' ? verdict.rules.map((rule) => `  rule: ${formatRule(rule)}`) : []),
    ...section('applies', of('applies')),
    ...section('cannot be told', of('cannot_be_told')),
    ...section('does not apply, the nearest first', [
      ...of('misses'),
      ...(omitted > 0 ? [`and ${omitted} more, with --all`] : []),
    ]),
    ...section(
      'egress',
      egress.map(({ id, isAbout, resources }) => {
        const listed = resources.length === 0 ? 'lists none of the destinations' : `lists ${resources.join(', ')}`
        return `${id}: ${isAbout ? listed : 'is not about the node'}`
      }),
    ),
    ...section(
      'takes',
      (terms?.charges ?? []).map((charge) => `${charge.amount} of ${charge.limit} (${charge.kind} ${charge.max})`),
    ),
    ...section(
      'obliges to',
      (terms?.obligations ?? []).map(({ id, kind }) => `${kind} (${id})`),
    ),
    ...section(
      'needs approval',
      (verdict.decision === 'escalate' ? verdict.demands : []).map(({ rule, approvers, quorum, expiresMs }) => {
        const who = approvers.length === 0 ? 'anybody' : approvers.map((name) => printable(name)).join(', ')
        return `${rule}: ${quorum} of ${who}, within ${expiresMs / 1000} s`
      }),
    ),
    ...section('cannot be granted', permission?.ungrantable ?? []),
    ...(yaml === '' ? [] : ['', 'to allow it, add:', yaml]),
  ].join('\n')
}

function section(title: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : [`${title}:`, ...lines.map((line) => `  ${line}`)]
}

function standingText({ rule, resources, failed, unknown }: StatementStanding): string {
  const about = [
    ...failed,
    ...unknown.map((what) => `cannot be told: ${what}`),
    ...(failed.length === 0 && resources.length > 0 ? [`about ${resources.join(', ')}`] : []),
  ]
  return about.length === 0
    ? formatRule(rule)
    : `${formatRule(rule)}: ${about.map((one) => printable(one, 400)).join('; ')}`
}
