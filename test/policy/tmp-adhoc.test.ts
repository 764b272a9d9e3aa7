import { test } from 'vitest'
import { resourceOf } from '../../src/core/named-resource.ts'
import { PolicyEngine } from '../../src/policy/engine.ts'
const E = { roles: ['*'], tools: ['*'] }
const P = { id: 'p', effect: 'permit', ...E, hosts: ['*:*', '0.0.0.0/0:*'] }
const run = (name: string, value: any, req: any = {}) => {
  const l = PolicyEngine.load({ name: 'x', value: { version: 1, rules: [P], ...value } })
  if (!l.ok) return console.log(name, '=> LOAD', l.problems.map((p) => `${p.code} ${p.message}`).join('; '))
  const v = l.engine.evaluate({ node: 'n', tool: 't', args: {}, resources: [], ...req })
  console.log(name, '=>', v.decision === 'deny' ? v.code + ' ' + v.denial.detail : `${v.decision} ${JSON.stringify(v.rules.map((r) => r.id))} charges ${JSON.stringify(v.charges)} ob ${JSON.stringify(v.obligations)}`, 'warnings', l.engine.warnings.length)
}
test('x', () => {
  const f = (r: any) => ({ rules: [P, { id: 'f', effect: 'forbid', ...E, ...r }] })
  run('labels {} in permit', { rules: [{ ...P, labels: {} }] }, { labels: {} })
  run('args {} in permit', { rules: [{ ...P, args: {} }] })
  run('facts {} in forbid', f({ facts: {} }))
  run('egress hosts *', { egress: [{ id: 'e', roles: ['*'], hosts: ['a.test'] }] }, { resources: [] })
  run('limit execute only', { limits: [{ id: 'l', ...E, kind: 'budget', max: 1, by: ['all'], paths: { execute: ['/x'] } }] })
  run('oblige execute only', { obligations: [{ id: 'o', ...E, pin_addresses: true, paths: { execute: ['/x'] } }] })
  run('contains 5 vs ["5"]', f({ args: { '/l': { contains: 5 } } }), { args: { l: ['5'] } })
  run('contains rm vs [["rm"]]', f({ args: { '/l': { contains: 'rm' } } }), { args: { l: [['rm']] } })
  run('some equals rm vs [["rm"]]', f({ args: { '/l': { some: { equals: 'rm' } } } }), { args: { l: [['rm']] } })
  run('schema string', f({ args: { '/l': { schema: { type: 'string', maxLength: 3 } } } }), { args: { l: 'abcd' } })
  run('schema [object,string]', f({ args: { '/l': { schema: { type: ['object', 'string'] } } } }), { args: { l: 'abcd' } })
  const R = { regions: { here: { hosts: ['localhost'] }, loop: { hosts: ['127.0.0.0/8'] }, v6: { hosts: ['64:ff9b::/96'] }, lan: { hosts: ['10.0.0.0/8'] } } }
  run('forbid dest loop vs localhost', { ...R, ...f({ hosts: ['*'], residency: { destination: ['loop'] } }) }, { resources: [resourceOf('url', 'https://localhost/')] })
  run('forbid dest lan vs nat64', { ...R, rules: [{ ...P, hosts: ['64:ff9b::/96'] }, { id: 'f', effect: 'forbid', ...E, hosts: ['*'], residency: { destination: ['lan'] } }] }, { resources: [resourceOf('url', 'https://[64:ff9b::a00:1]/')] })
  run('limit by destination, no net', { limits: [{ id: 'l', ...E, kind: 'budget', max: 1, by: ['destination'] }] }, {})
  run('limit by destination bare+ unknown path', { rules: [{ ...P, paths: { read: ['/**'] } }], limits: [{ id: 'l', ...E, kind: 'budget', max: 1, by: ['destination'], paths: { read: ['/a'] } }] }, { resources: [resourceOf('path', '/a')] })
  run('limit host any', { limits: [{ id: 'l', ...E, kind: 'budget', max: 1, by: ['destination'], hosts: ['*'] }] }, { resources: [resourceOf('url', 'http://0.0.0.0/'), resourceOf('url', 'http://127.0.0.1/')] })
  run('role labels + unknown role', { roles: { a: { labels: { x: ['*'] } }, b: {asserted: true} } }, { roles: ['zz'] })
  run('amount + no permit', { rules: [], limits: [{ id: 'l', ...E, kind: 'budget', max: 1, by: ['all'], amount: '/n' }] }, {})
  run('limit by run with run NUL', { limits: [{ id: 'l', ...E, kind: 'budget', max: 1, by: ['principal'] }] }, { principal: '' })
  run('approver name any', { rules: [{ ...P, effect: 'require_approval', approval: {} }] })
  run('amount 1e308', { limits: [{ id: 'l', ...E, kind: 'budget', max: 1e308, by: ['all'], amount: '/n' }] }, { args: { n: 1e308 } })
  run('amount -0', { limits: [{ id: 'l', ...E, kind: 'budget', max: 1, by: ['all'], amount: '/n' }] }, { args: { n: -0 } })
  run('amount nested idx', { limits: [{ id: 'l', ...E, kind: 'budget', max: 1, by: ['all'], amount: '/n/0' }] }, { args: { n: [3] } })
  run('ask engine w/ space', f({ ask: { engine: 'opa x', query: 'y' } }), { answers: { 'opa x y': false } })
  run('label key weird', f({ labels: { 'a b': ['*'] } }), { labels: {} })
  run('pattern anchors', { rules: [{ ...P, args: { '/a': { pattern: 'a$|^b' } } }] }, { args: { a: 'a' } })
  run('pattern \\n', { rules: [{ ...P, args: { '/a': { pattern: 'a' } } }] }, { args: { a: 'a\n' } })
  run('after *', f({ after: ['*'] }), { upstream: ['bad name!'] })
  run('after x', f({ after: ['x'] }), { upstream: ['x\n'] })
  run('regions of ip pattern', { regions: { a: { hosts: ['*'] } } }, {})
  run('skills approval', { rules: [{ id: 'a', effect: 'require_approval', ...E, skills: ['web'] }] }, {})
  run('approve self', { rules: [P], limits: [{ id: 'l', ...E, kind: 'rate', max: 5, per: '1m', by: ['skill'] }] }, { skill: 'x' })
})
