// AgentPort's PolicyEngine, asked in two ways: with resources as the gateway hands them over, canonicalised once when the
// arguments were read; and from the raw strings of a request, canonicalised and judged in one timed call.

import { resourceOf } from '../../src/core/named-resource.ts'
import { PolicyEngine, type PolicyRequest, type PolicyVerdict } from '../../src/policy/engine.ts'
import type { Engine } from '../engine.ts'
import type { WorkloadRequest, WorkloadRule } from '../workload.ts'

export async function loadAgentPort(rules: readonly WorkloadRule[]): Promise<Engine> {
  const engine = load(rules)
  return { prepare: toRequest, answer: (request) => engine.evaluate(request as PolicyRequest), allows }
}

export async function loadAgentPortFromText(rules: readonly WorkloadRule[]): Promise<Engine> {
  const engine = load(rules)
  return { answer: (request) => engine.evaluate(toRequest(request as WorkloadRequest)), allows }
}

function load(rules: readonly WorkloadRule[]): PolicyEngine {
  return PolicyEngine.from({ file: 'workload.yaml', text: policyYaml(rules), format: 'yaml' })
}

function allows(verdict: unknown): boolean {
  return (verdict as PolicyVerdict).decision === 'allow'
}

function toRequest({ kind, host, path, ip, node, role, tool, bytes, method }: WorkloadRequest): PolicyRequest {
  const resource =
    kind === 'path'
      ? resourceOf('path', path, { from: '/path' })
      : resourceOf('host', kind === 'host' ? host : ip, { from: '/host' })
  return { node, roles: [role], tool, args: { bytes, method }, resources: [resource] }
}

/** The workload as an operator would write it. */
export function policyYaml(rules: readonly WorkloadRule[]): string {
  const roles = [...new Set(rules.map((rule) => rule.role))].map((role) => `  ${role}: { asserted: true }`)
  return ['version: 1', 'roles:', ...roles, 'rules:', ...rules.map(ruleYaml)].join('\n')
}

function ruleYaml(rule: WorkloadRule): string {
  const target = rule.kind === 'path' ? `paths: { read: ["${rule.pattern}"] }` : `hosts: ["${rule.pattern}"]`
  return `  - id: ${rule.id}
    effect: ${rule.effect}
    roles: [${rule.role}]
    tools: [${rule.tool}]
    ${target}
    args:
      /bytes: { max: ${rule.maxBytes} }
      /method: { one_of: [${rule.methods.join(', ')}] }`
}

/** The same as a plain object. */
export function policyValue(rules: readonly WorkloadRule[]): object {
  return {
    version: 1,
    roles: Object.fromEntries(rules.map((rule) => [rule.role, { asserted: true }])),
    rules: rules.map(({ id, effect, role, tool, kind, pattern, maxBytes, methods }) => ({
      id,
      effect,
      roles: [role],
      tools: [tool],
      ...(kind === 'path' ? { paths: { read: [pattern] } } : { hosts: [pattern] }),
      args: { '/bytes': { max: maxBytes }, '/method': { one_of: methods } },
    })),
  }
}
