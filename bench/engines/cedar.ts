// Cedar (its WebAssembly build): one policy per rule, parsed once and kept inside; the node and its role go along with
// every call, as the interface wants it.

import { preparsePolicySet, statefulIsAuthorized } from '@cedar-policy/cedar-wasm/nodejs'

import type { Engine } from '../engine.ts'
import type { WorkloadRequest, WorkloadRule } from '../workload.ts'

const SET = 'bench'

export async function loadCedar(rules: readonly WorkloadRule[]): Promise<Engine> {
  const staticPolicies = Object.fromEntries(rules.map((rule) => [rule.id, policyText(rule)]))
  const parsed = preparsePolicySet(SET, { staticPolicies })
  if (parsed.type !== 'success') throw new Error(`cedar: ${parsed.errors[0]?.message}`)
  return {
    answer: (asked) => {
      const request = asked as WorkloadRequest
      const principal = { type: 'Node', id: request.node }
      return statefulIsAuthorized({
        preparsedPolicySetId: SET,
        principal,
        action: { type: 'Action', id: request.tool },
        resource: { type: 'Target', id: 'target' },
        context: {
          kind: request.kind,
          host: request.host,
          path: request.path,
          ip: { __extn: { fn: 'ip', arg: request.ip } },
          bytes: request.bytes,
          method: request.method,
        },
        entities: [
          { uid: principal, attrs: {}, parents: [{ type: 'Role', id: request.role }] },
          { uid: { type: 'Role', id: request.role }, attrs: {}, parents: [] },
        ],
      })
    },
    allows: (answer) => {
      const { type } = answer as ReturnType<typeof statefulIsAuthorized>
      if (type !== 'success') throw new Error(`cedar: ${JSON.stringify(answer)}`)
      return (answer as { response: { decision: string } }).response.decision === 'allow'
    },
  }
}

function policyText(rule: WorkloadRule): string {
  const methods = rule.methods.map((method) => `"${method}"`).join(', ')
  return `${rule.effect}(principal in Role::"${rule.role}", action == Action::"${rule.tool}", resource) when {
  context.kind == "${rule.kind}" && context.bytes <= ${rule.maxBytes} && [${methods}].contains(context.method) && ${target(rule)}
};`
}

function target(rule: WorkloadRule): string {
  if (rule.kind === 'path') return `context.path like "${rule.pattern.slice(0, -1)}"`
  if (rule.kind === 'cidr') return `context.ip.isInRange(ip("${rule.pattern}"))`
  return rule.pattern.startsWith('*.') ? `context.host like "${rule.pattern}"` : `context.host == "${rule.pattern}"`
}
