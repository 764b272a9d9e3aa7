// Other policy engines, asked as shortly as they allow. What the tests show about them is how they fail open.

import { createMongoAbility } from '@casl/ability'
import { isAuthorized } from '@cedar-policy/cedar-wasm/nodejs'
import { newEnforcer, newModelFromString, StringAdapter } from 'casbin'

import type { JsonObject } from '../../src/core/json.ts'

/** Whether Cedar allows one call with this context. */
export function cedarAllows(policy: string, context: JsonObject): boolean {
  const answer = isAuthorized({
    principal: { type: 'Node', id: 'fetch' },
    action: { type: 'Action', id: 'http_get' },
    resource: { type: 'Target', id: 'target' },
    context: context as never,
    policies: { staticPolicies: policy },
    entities: [],
  })
  return answer.type === 'success' && answer.response.decision === 'allow'
}

/** Everything is permitted; what follows has to forbid. */
export const CEDAR_PERMIT = 'permit(principal, action, resource);\n'

type CaslRule = Parameters<typeof createMongoAbility>[0] extends readonly (infer T)[] | undefined ? T : never

/** Whether CASL lets `call` happen to `subject`; a text asks about the type as such. */
export function caslAllows(rules: readonly object[], subject: object | string): boolean {
  const ability = createMongoAbility(rules as CaslRule[], { detectSubjectType: () => 'Call' })
  return ability.can('call', subject as never)
}

/** Whether casbin enforces the request; any deny row beats the allow rows. */
export async function casbinAllows(
  rows: readonly string[],
  request: readonly unknown[],
  matcher = 'r.tool == p.tool',
): Promise<boolean> {
  const model = newModelFromString(`
[request_definition]
r = tool
[policy_definition]
p = tool, eft
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = ${matcher}`)
  const enforcer = await newEnforcer(model, new StringAdapter(rows.join('\n')))
  return enforcer.enforce(...request)
}
