// One policy that uses the whole language, and edits of it: what each does to the decisions is known, because it was chosen.

import type { RawPolicy, RawRule } from '../../../src/policy/schema.ts'

type Direction = 'widened' | 'narrowed' | 'changed'
/** A policy whose lists can be written to. */
// biome-ignore lint/suspicious/noExplicitAny: edits reach into optional keys of every kind; a wrong one does not load.
export type Draft = any

export interface Mutation {
  readonly name: string
  /** Directions that have to be among those reported; `[]` says that nothing may be. */
  readonly shows: readonly Direction[]
  readonly edit: (draft: Draft) => void
}

export const POLICY: RawPolicy = {
  version: 1,
  roles: {
    reader: { nodes: ['fetch', 'scan_*'] },
    clerk: { asserted: true },
    trusted: { labels: { team: ['blue', 'gr*'] } },
  },
  regions: { eu: { hosts: ['**.eu.example.com', '198.51.100.0/24'] }, us: { hosts: ['**.us.example.com'] } },
  egress: [
    { id: 'reach', roles: ['*'], hosts: ['**.example.com', '198.51.100.0/24', 'example.org:*', '203.0.113.0/28'] },
    { id: 'reach-posts', nodes: ['fetch'], hosts: ['post.example.net'], methods: ['POST', 'GET'] },
  ],
  rules: [
    {
      id: 'web',
      effect: 'permit',
      roles: ['reader'],
      tools: ['http_get'],
      hosts: ['api.example.com', '*.cdn.example.com'],
    },
    { id: 'org', effect: 'permit', roles: ['reader'], tools: ['http_*'], hosts: ['https://example.org:8443'] },
    { id: 'block', effect: 'permit', nodes: ['fetch'], tools: ['dial'], hosts: ['203.0.113.0/28'] },
    { id: 'far', effect: 'permit', nodes: ['fetch'], tools: ['dial'], hosts: ['far.example.net'] },
    {
      id: 'posts',
      effect: 'permit',
      nodes: ['fetch'],
      tools: ['post'],
      hosts: ['post.example.net'],
      methods: ['POST'],
    },
    {
      id: 'files',
      effect: 'permit',
      roles: ['reader'],
      tools: ['read'],
      paths: { read: ['/srv/in/**', '/srv/*/log'] },
    },
    {
      id: 'saves',
      effect: 'permit',
      roles: ['clerk'],
      tools: ['save'],
      paths: { write: ['/srv/out/*.txt'] },
      skills: ['writer'],
    },
    {
      id: 'runs',
      effect: 'permit',
      nodes: ['build'],
      tools: ['run'],
      binaries: ['/usr/bin/make'],
      env: ['LANG'],
      limits: { wall_ms: 1000, memory_mb: 64 },
      forbidden_syscalls: ['ptrace'],
    },
    {
      id: 'loads',
      effect: 'permit',
      nodes: ['build'],
      tools: ['run'],
      libraries: ['/usr/lib/**'],
      process_rights: ['udp'],
    },
    { id: 'mails', effect: 'permit', nodes: ['mail'], tools: ['send'], oauth_scopes: ['mail:send'] },
    {
      id: 'sums',
      effect: 'permit',
      roles: ['clerk'],
      tools: ['add'],
      args: { '/n': { min: 0, max: 10 }, '/mode': { one_of: ['a', 'b'] }, '/name': { glob: 'x*', max_length: 8 } },
    },
    {
      id: 'codes',
      effect: 'permit',
      nodes: ['code'],
      tools: ['check'],
      args: { '/code': { pattern: '[A-Z]{2}-\\d+' } },
    },
    {
      id: 'tags',
      effect: 'permit',
      nodes: ['code'],
      tools: ['tag'],
      args: { '/tags': { every: { one_of: ['t', 'u'] } } },
    },
    {
      id: 'shapes',
      effect: 'permit',
      nodes: ['code'],
      tools: ['draw'],
      args: {
        '/s': { schema: { type: 'object', required: ['w'], properties: { w: { type: 'number', maximum: 5 } } } },
      },
    },
    {
      id: 'office',
      effect: 'permit',
      nodes: ['desk'],
      tools: ['file'],
      during: { days: ['mon', 'tue'], from: '08:00', to: '18:00', zone: 'Europe/Berlin' },
    },
    {
      id: 'season',
      effect: 'permit',
      nodes: ['desk'],
      tools: ['sell'],
      during: { not_before: '2027-03-01T00:00:00Z', not_after: '2027-04-01T00:00:00Z' },
    },
    { id: 'asked', effect: 'permit', nodes: ['desk'], tools: ['query'], ask: { engine: 'opa', query: 'allow' } },
    {
      id: 'after',
      effect: 'permit',
      nodes: ['desk'],
      tools: ['publish'],
      after: ['review*'],
      facts: { '/age': { max: 5 } },
    },
    { id: 'team', effect: 'permit', roles: ['trusted'], tools: ['deploy'], labels: { tier: ['1'] } },
    {
      id: 'europe',
      effect: 'permit',
      nodes: ['geo'],
      tools: ['copy'],
      hosts: ['**.example.com'],
      residency: { destination: ['eu'], source: ['eu'] },
    },
    {
      id: 'pays',
      effect: 'require_approval',
      roles: ['clerk'],
      tools: ['pay'],
      args: { '/amount': { max: 500 } },
      approval: { approvers: ['ana', 'bo'], quorum: 2, expires: '10m' },
    },
    { id: 'small', effect: 'permit', roles: ['clerk'], tools: ['tip'] },
    { id: 'no-admin', effect: 'forbid', roles: ['*'], tools: ['http_*'], hosts: ['x.cdn.example.com'] },
    {
      id: 'no-secrets',
      effect: 'forbid',
      roles: ['*'],
      tools: ['*'],
      paths: { read: ['/**/secret/**'], write: ['/srv/out/bad.txt'] },
    },
    { id: 'no-big', effect: 'forbid', roles: ['*'], tools: ['tip'], args: { '/amount': { min: 100, optional: true } } },
  ],
  limits: [
    { id: 'rate', roles: ['*'], tools: ['http_get'], kind: 'rate', max: 10, per: '1m', burst: 20, by: ['run'] },
    { id: 'spend', roles: ['*'], tools: ['pay'], kind: 'budget', max: 1000, by: ['principal'], amount: '/amount' },
    { id: 'parallel', nodes: ['fetch'], tools: ['dial'], kind: 'concurrency', max: 4, by: ['all'] },
  ],
  obligations: [
    { id: 'redact', roles: ['*'], tools: ['read'], redact: { on: ['result'], fields: ['/password'], secrets: true } },
    { id: 'cap', roles: ['*'], tools: ['http_get'], cap: { on: ['result'], max_bytes: 1000 } },
    { id: 'pin', roles: ['*'], tools: ['dial'], hosts: ['*', '0.0.0.0/0'], pin_addresses: true },
  ],
}

export function edited(edit: Mutation['edit']): RawPolicy {
  const draft = structuredClone(POLICY)
  edit(draft)
  return draft
}

const at = (list: readonly { readonly id: string }[], id: string): Draft => {
  const found = list.find((one) => one.id === id)
  if (found === undefined) throw new Error(`no ${id}`)
  return found
}
const rule = (draft: Draft, id: string): Draft => at(draft.rules, id)
const drop = (list: { id: string }[], id: string): void => {
  list.splice(list.indexOf(at(list, id)), 1)
}
const widened = (name: string, edit: Mutation['edit']): Mutation => ({ name, shows: ['widened'], edit })
const narrowed = (name: string, edit: Mutation['edit']): Mutation => ({ name, shows: ['narrowed'], edit })
const both = (name: string, edit: Mutation['edit']): Mutation => ({ name, shows: ['widened', 'narrowed'], edit })
const same = (name: string, edit: Mutation['edit']): Mutation => ({ name, shows: [], edit })

export const MUTATIONS: readonly Mutation[] = [
  // Whom
  widened('a role more', (p) => rule(p, 'web').roles.push('clerk')),
  narrowed('another role', (p) => Object.assign(rule(p, 'sums'), { roles: ['reader', 'clerk'], nodes: ['fetch'] })),
  widened('a node more in a role', (p) => p.roles.reader.nodes.push('late')),
  narrowed('a node less in a role', (p) => p.roles.reader.nodes.pop()),
  widened('a wider node glob', (p) => (p.roles.reader.nodes[1] = 'scan*')),
  widened('a node more in a rule', (p) => rule(p, 'posts').nodes.push('plan')),
  widened('a role may be asserted', (p) => (p.roles.reader.asserted = true)),
  narrowed('a role may not be asserted', (p) => (p.roles.clerk = { nodes: ['till'] })),
  widened('a label value more', (p) => p.roles.trusted.labels.team.push('red')),
  narrowed('a label key more', (p) => (p.roles.trusted.labels.site = ['home'])),
  widened('labels of a rule gone', (p) => delete rule(p, 'team').labels),
  widened('a tier more', (p) => rule(p, 'team').labels.tier.push('2')),
  // What
  widened('a tool more', (p) => rule(p, 'web').tools.push('http_head')),
  widened('a tool glob', (p) => (rule(p, 'web').tools = ['http_*'])),
  narrowed('a tool glob less', (p) => (rule(p, 'org').tools = ['http_get'])),
  widened('a host more', (p) => rule(p, 'web').hosts.push('b.example.com')),
  narrowed('a host less', (p) => rule(p, 'web').hosts.pop()),
  widened('any depth', (p) => (rule(p, 'web').hosts[1] = '**.cdn.example.com')),
  narrowed('one depth', (p) => (rule(p, 'europe').hosts = ['*.eu.example.com'])),
  widened('any port', (p) => (rule(p, 'org').hosts = ['https://example.org:*'])),
  both('another port', (p) => (rule(p, 'org').hosts = ['https://example.org:9443'])),
  widened('any scheme', (p) => (rule(p, 'org').hosts = ['example.org:8443'])),
  narrowed('half of a block', (p) => (rule(p, 'block').hosts = ['203.0.113.0/29'])),
  widened('a method more', (p) => rule(p, 'posts').methods.push('GET')),
  both('another method', (p) => (rule(p, 'posts').methods = ['GET'])),
  widened('any method', (p) => delete rule(p, 'posts').methods),
  widened('a path more', (p) => rule(p, 'files').paths.read.push('/var/log/*')),
  narrowed('a path less', (p) => rule(p, 'files').paths.read.pop()),
  narrowed('one level instead of all', (p) => (rule(p, 'files').paths.read[0] = '/srv/in/*')),
  widened('any extension', (p) => (rule(p, 'saves').paths.write = ['/srv/out/*'])),
  widened('reading what is written', (p) => (rule(p, 'saves').paths.read = ['/srv/out/*.txt'])),
  widened('a program more', (p) => rule(p, 'runs').binaries.push('/usr/bin/cc')),
  widened('a variable more', (p) => rule(p, 'runs').env.push('HOME')),
  widened('a scope more', (p) => rule(p, 'mails').oauth_scopes.push('mail:read')),
  widened('any skill', (p) => delete rule(p, 'saves').skills),
  both('another skill', (p) => (rule(p, 'saves').skills = ['copier'])),
  // Conditions
  widened('a higher max', (p) => (rule(p, 'sums').args['/n'].max = 11)),
  narrowed('a lower max', (p) => (rule(p, 'sums').args['/n'].max = 9.5)),
  widened('no min', (p) => delete rule(p, 'sums').args['/n'].min),
  widened('one value more', (p) => rule(p, 'sums').args['/mode'].one_of.push('c')),
  widened('a condition less', (p) => delete rule(p, 'sums').args['/mode']),
  narrowed('a condition more', (p) => (rule(p, 'sums').args['/dry'] = { equals: true })),
  widened('a wider glob', (p) => (rule(p, 'sums').args['/name'].glob = '*x*')),
  widened('a longer text', (p) => (rule(p, 'sums').args['/name'].max_length = 9)),
  widened('case ignored', (p) => (rule(p, 'sums').args['/name'].ignore_case = true)),
  widened('a wider expression', (p) => (rule(p, 'codes').args['/code'].pattern = '[A-Z]{2}-\\d*')),
  widened('a wider class', (p) => (rule(p, 'codes').args['/code'].pattern = '[A-Za-z]{2}-\\d+')),
  widened('another item', (p) => rule(p, 'tags').args['/tags'].every.one_of.push('v')),
  both('some instead of every', (p) => (rule(p, 'tags').args['/tags'] = { some: { one_of: ['t', 'u'] } })),
  widened('a higher maximum in a schema', (p) => (rule(p, 'shapes').args['/s'].schema.properties.w.maximum = 6)),
  widened('nothing required in a schema', (p) => delete rule(p, 'shapes').args['/s'].schema.required),
  narrowed('optional no more', (p) => delete rule(p, 'no-big').args['/amount'].optional),
  widened('a fact', (p) => (rule(p, 'after').facts['/age'].max = 6)),
  widened('anywhere in the graph', (p) => delete rule(p, 'after').after),
  widened('after another node', (p) => (rule(p, 'after').after = ['re*'])),
  // When
  widened('a day more', (p) => rule(p, 'office').during.days.push('sun')),
  widened('an hour more', (p) => (rule(p, 'office').during.to = '19:00')),
  narrowed('a minute less', (p) => (rule(p, 'office').during.from = '08:01')),
  both('another zone', (p) => (rule(p, 'office').during.zone = 'Europe/London')),
  both('a zone that differs in summer alone', (p) => (rule(p, 'office').during.zone = 'Africa/Lagos')),
  widened('over midnight', (p) => (rule(p, 'office').during.from = '07:00')),
  widened('a longer season', (p) => (rule(p, 'season').during.not_after = '2027-04-01T00:00:01Z')),
  widened('a window less', (p) => delete rule(p, 'office').during),
  both('another question', (p) => (rule(p, 'asked').ask.query = 'allow more')),
  widened('no question', (p) => delete rule(p, 'asked').ask),
  // Where
  widened('a region more', (p) => rule(p, 'europe').residency.destination.push('us')),
  widened('a source more', (p) => rule(p, 'europe').residency.source.push('us')),
  widened('a region grows', (p) => p.regions.eu.hosts.push('**.fr.example.com')),
  narrowed('a region shrinks', (p) => p.regions.eu.hosts.shift()),
  // Effects
  widened('a forbid less', (p) => drop(p.rules, 'no-admin')),
  widened('a forbid of any tool less', (p) => drop(p.rules, 'no-secrets')),
  narrowed('a forbid more', (p) =>
    p.rules.push({ id: 'new', effect: 'forbid', roles: ['*'], tools: ['*'], hosts: ['*'] }),
  ),
  widened('a forbid for fewer', (p) => (rule(p, 'no-secrets').roles = ['clerk'])),
  widened('a forbid of less', (p) => delete rule(p, 'no-secrets').paths.write),
  narrowed('a permit less', (p) => drop(p.rules, 'mails')),
  narrowed('a permit becomes a forbid', (p) => (rule(p, 'mails').effect = 'forbid')),
  narrowed('a permit becomes an approval', (p) => (rule(p, 'mails').effect = 'require_approval')),
  widened('a forbid becomes an approval', (p) => (rule(p, 'no-admin').effect = 'require_approval')),
  widened('an approval becomes a permit', (p) => {
    Object.assign(rule(p, 'pays'), { effect: 'permit' })
    delete rule(p, 'pays').approval
  }),
  widened('one approver is enough', (p) => (rule(p, 'pays').approval.quorum = 1)),
  widened('an approver more', (p) => rule(p, 'pays').approval.approvers.push('cy')),
  widened('anybody approves', (p) => delete rule(p, 'pays').approval.approvers),
  narrowed('less time to answer', (p) => (rule(p, 'pays').approval.expires = '1m')),
  // Limits and obligations
  widened('a higher limit', (p) => (at(p.limits, 'rate').max = 30)),
  widened('a higher burst', (p) => (at(p.limits, 'rate').burst = 30)),
  widened('a shorter period', (p) => (at(p.limits, 'rate').per = '30s')),
  narrowed('a lower limit', (p) => (at(p.limits, 'parallel').max = 3)),
  { name: 'counted otherwise', shows: ['changed'], edit: (p) => (at(p.limits, 'parallel').by = ['node']) },
  {
    name: 'another kind',
    shows: ['changed'],
    edit: (p) => Object.assign(at(p.limits, 'parallel'), { kind: 'window', per: '1m' }),
  },
  widened('a limit less', (p) => drop(p.limits, 'parallel')),
  widened('calls instead of amounts', (p) => delete at(p.limits, 'spend').amount),
  narrowed('a limit more', (p) =>
    p.limits.push({ id: 'l', roles: ['*'], tools: ['deploy'], kind: 'budget', max: 1, by: ['all'] }),
  ),
  widened('an obligation less', (p) => drop(p.obligations, 'pin')),
  widened('less redacted', (p) => delete at(p.obligations, 'redact').redact.secrets),
  narrowed('more redacted', (p) => at(p.obligations, 'redact').redact.fields.push('/token')),
  widened('a higher cap', (p) => (at(p.obligations, 'cap').cap.max_bytes = 2000)),
  narrowed('a cap for more tools', (p) => (at(p.obligations, 'cap').tools = ['*'])),
  // Ceilings
  narrowed('a ceiling less', (p) => p.egress[0].hosts.shift()),
  widened('a ceiling more', (p) => p.egress[0].hosts.push('far.example.net')),
  same('a ceiling for what no permit lists', (p) => p.egress[0].hosts.push('nowhere.example.net')),
  widened('no ceilings', (p) => {
    delete p.egress
    rule(p, 'web').hosts.push('elsewhere.test')
  }),
  narrowed('a ceiling for some', (p) => (p.egress[0].roles = ['reader'])),
  narrowed('a ceiling of methods', (p) => (p.egress[1].methods = ['GET'])),
  // Processes
  widened('longer processes', (p) => (rule(p, 'runs').limits.wall_ms = 2000)),
  widened('a system call back', (p) => delete rule(p, 'runs').forbidden_syscalls),
  narrowed('a system call less', (p) => rule(p, 'runs').forbidden_syscalls.push('bpf')),
  widened('a library more', (p) => rule(p, 'loads').libraries.push('/opt/lib/**')),
  narrowed('a right less', (p) => delete rule(p, 'loads').process_rights),
  { name: 'another right', shows: ['changed'], edit: (p) => (rule(p, 'loads').process_rights = ['listen']) },
  narrowed('nothing survives', (p) => (rule(p, 'runs').execution_mode = 'ephemeral')),
  // Nothing
  same('rules in another order', (p) => p.rules.reverse()),
  same('lists in another order', (p) => {
    for (const one of p.rules as RawRule[]) one.hosts?.reverse()
  }),
  same('ids', (p) => {
    for (const one of p.rules) one.id = `x-${one.id}`
  }),
  same('ids of limits and obligations', (p) => {
    for (const one of [...p.limits, ...p.obligations]) one.id = `x-${one.id}`
  }),
  same('reasons', (p) => {
    for (const one of p.rules) one.reason = 'because'
  }),
  same('names and descriptions', (p) => Object.assign(p, { name: 'n', description: 'd' })),
  same('a permit in two', (p) => {
    const [first, second] = rule(p, 'web').hosts
    rule(p, 'web').hosts = [first]
    p.rules.push({ ...rule(p, 'web'), id: 'web-2', hosts: [second] })
  }),
  same('a host inside another', (p) => rule(p, 'web').hosts.push('y.cdn.example.com')),
  same('a path inside another', (p) => rule(p, 'files').paths.read.push('/srv/in/a/*')),
  same('a block in halves', (p) => (rule(p, 'block').hosts = ['203.0.113.0/29', '203.0.113.8/29'])),
  same('a permit that says what another says', (p) =>
    p.rules.push({ ...rule(p, 'files'), id: 'again', paths: { read: ['/srv/in/z'] } }),
  ),
  same(
    'a bound that is written in another way',
    (p) => (rule(p, 'no-big').args['/amount'] = { optional: true, min: 100 }),
  ),
  same('roles spelled out', (p) => Object.assign(rule(p, 'posts'), { roles: ['*'] })),
  same('a role renamed', (p) => {
    p.roles.web = p.roles.reader
    delete p.roles.reader
    for (const one of p.rules as RawRule[]) {
      if (one.roles !== undefined) one.roles = one.roles.map((name) => (name === 'reader' ? 'web' : name))
    }
  }),
  same('a forbid of what nobody may', (p) =>
    p.rules.push({ id: 'dead', effect: 'forbid', nodes: ['nobody'], tools: ['nothing'] }),
  ),
  same('a region nobody uses', (p) => (p.regions.asia = { hosts: ['**.asia.example.com'] })),
  same('days in another order', (p) => rule(p, 'office').during.days.reverse()),
  same('a literal set', (p) => (rule(p, 'codes').tools = ['[c]heck'])),
  same('an expression with a group', (p) => (rule(p, 'codes').args['/code'].pattern = '(?:[A-Z]){2}-\\d\\d*')),
]
