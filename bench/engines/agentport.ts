// AgentPort's PolicyEngine. The timed call starts from the raw strings of the request, as a tool call would bring them:
// it canonicalises host, address or path, and returns the whole verdict with rules, denial and the missing grant.

import { parseHost } from '../../src/core/host.ts'
import { parsePath } from '../../src/core/path.ts'
import type { Resource } from '../../src/core/resource.ts'
import { PolicyEngine, type PolicyVerdict } from '../../src/policy/engine.ts'
import type { Engine } from '../engine.ts'
import type { WorkloadRequest, WorkloadRule } from '../workload.ts'

export async function loadAgentPort(rules: readonly WorkloadRule[]): Promise<Engine> {
  const engine = PolicyEngine.from({ file: 'workload.yaml', text: policyYaml(rules), format: 'yaml' })
  return {
    answer: (request: WorkloadRequest) => {
      const resource = resourceOf(request)
      if (resource === undefined) return undefined
      const { node, role, tool, bytes, method } = request
      return engine.evaluate({ node, roles: [role], tool, args: { bytes, method }, resources: [resource] })
    },
    allows: (verdict) => (verdict as PolicyVerdict | undefined)?.decision === 'allow',
  }
}

function resourceOf(request: WorkloadRequest): Resource | undefined {
  if (request.kind === 'path') {
    const parsed = parsePath(request.path)
    return parsed.ok ? { kind: 'path', path: parsed.path, access: 'read', from: '/path' } : undefined
  }
  const parsed = parseHost(request.kind === 'host' ? request.host : request.ip)
  return parsed.ok ? { kind: 'network', host: parsed.host, from: '/host' } : undefined
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
