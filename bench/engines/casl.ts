// CASL: one ability per role, kept. Its rules go by order and the last one wins, so the forbids stand last.

import { createMongoAbility, type MongoAbility } from '@casl/ability'

import type { Engine } from '../engine.ts'
import { networkRange, type WorkloadRequest, type WorkloadRule } from '../workload.ts'

export async function loadCasl(rules: readonly WorkloadRule[]): Promise<Engine> {
  const byRole = new Map<string, WorkloadRule[]>()
  for (const rule of rules) {
    const list = byRole.get(rule.role)
    if (list === undefined) byRole.set(rule.role, [rule])
    else list.push(rule)
  }
  const abilities = new Map<string, MongoAbility>()
  for (const [role, list] of byRole) {
    const permitsFirst = [...list].sort((a, b) => Number(a.effect === 'forbid') - Number(b.effect === 'forbid'))
    abilities.set(role, createMongoAbility(permitsFirst.map(toCaslRule), { detectSubjectType: () => 'Call' }))
  }
  return {
    answer: (asked) => {
      const request = asked as WorkloadRequest
      return abilities.get(request.role)?.can(request.tool, request as never) ?? false
    },
    allows: (answer) => answer === true,
  }
}

function toCaslRule(rule: WorkloadRule) {
  return {
    action: rule.tool,
    subject: 'Call',
    inverted: rule.effect === 'forbid',
    conditions: {
      kind: rule.kind,
      bytes: { $lte: rule.maxBytes },
      method: { $in: rule.methods },
      ...targetCondition(rule),
    },
  }
}

function targetCondition(rule: WorkloadRule): Record<string, unknown> {
  if (rule.kind === 'cidr') {
    const [low, high] = networkRange(rule.pattern)
    return { ipNum: { $gte: low, $lte: high } }
  }
  if (rule.kind === 'path') return { path: { $regex: new RegExp(`^${escapeRegExp(rule.pattern.slice(0, -2))}`) } }
  if (!rule.pattern.startsWith('*.')) return { host: rule.pattern }
  return { host: { $regex: new RegExp(`^[^.]+${escapeRegExp(rule.pattern.slice(1))}$`) } }
}

function escapeRegExp(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\/]/g, '\\$&')
}
