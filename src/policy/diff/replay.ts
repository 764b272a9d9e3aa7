// A recorded call as a request, where that can be. A record says who called which tool and what it touched, and not the
// arguments: only where no statement of either set asks about what is missing does the same verdict follow from it.

import { readNamedResource } from '../../core/named-resource.ts'
import { describeResource, type Resource } from '../../core/resource.ts'
import { names } from '../explanation.ts'
import type { Guard } from '../guard.ts'
import type { PolicyRequest } from '../request.ts'
import { rolesOfNode } from '../roles.ts'
import type { LoadedSide, Statement } from './statements.ts'

/** What an audit log says of one call. */
export interface RecordedCall {
  readonly node: string
  readonly tool: string
  readonly skill?: string
  readonly run?: string
  readonly principal?: string
  /** As `describeResource` writes them. */
  readonly resources: readonly string[]
  /** Milliseconds since the Unix epoch. */
  readonly now: number
  readonly decision: 'allow' | 'deny' | 'escalate'
  /** Digest of the policy set that decided. */
  readonly policy?: string
  /** The check that denied. */
  readonly layer?: string
}

/** What a record does not hold. */
const UNTOLD: Readonly<Partial<Record<Guard['about'], string>>> = {
  labels: 'a statement asks for labels',
  position: 'a statement asks for other nodes',
  args: 'a statement asks for arguments',
  facts: 'a statement asks for facts',
  source: 'a statement asks where data come from',
  ask: 'a statement asks another engine',
}

/** The request, or why there is none. */
export function rebuildRequest(record: RecordedCall, before: LoadedSide, after: LoadedSide): PolicyRequest | string {
  const { node, tool, skill, run, principal, decision, policy, layer, now } = record
  if (decision === 'deny' && layer !== 'policy') return 'it was not the policy that denied'
  const resources = record.resources.map(readDescribed)
  const known = resources.filter((resource) => resource !== undefined)
  if (known.length < resources.length) return 'a resource cannot be read back'
  const request: PolicyRequest = {
    node,
    tool,
    args: {},
    resources: known,
    labels: {},
    now,
    ...(skill === undefined ? {} : { skill }),
    ...(run === undefined ? {} : { run }),
    ...(principal === undefined ? {} : { principal }),
  }
  for (const side of [before, after]) {
    for (const statement of side.statements) {
      const untold = untoldBy(statement, side, request)
      if (untold !== undefined) return untold
    }
  }
  if (policy === before.engine.digest) {
    const told = before.engine.evaluate(request).decision
    // A call that was allowed after an approval was one the policy had escalated.
    if (told !== decision && !(decision === 'allow' && told === 'escalate')) return 'the record says otherwise'
  }
  return request
}

/** What the statement needs to know and the request does not tell; nothing where the statement is not about it anyway. */
function untoldBy({ rule, raw }: Statement, side: LoadedSide, request: PolicyRequest): string | undefined {
  const { node, tool, skill, resources } = request
  if (rule.processOnly || !rule.tools.some((glob) => glob.matches(tool))) return undefined
  if (rule.nodes?.some((glob) => glob.matches(node)) === false) return undefined
  if (skill !== undefined && rule.skills?.some((glob) => glob.matches(skill)) === false) return undefined
  const asIfAny = rule.reach === undefined ? rule : { ...rule, reach: undefined }
  const isTouched = resources.some((resource) => names(asIfAny, resource, false))
  if (rule.namesResources && !isTouched && (rule.effect !== 'permit' || resources.length > 0)) return undefined
  if (rule.roles !== undefined && !rule.everyone) {
    const own = rolesOfNode(side.set.roles, node)
    if (!rule.roles.some((role) => own.includes(role))) {
      const mayHave = rule.roles.some((role) => {
        const defined = side.set.roles.get(role)
        return defined?.asserted === true || defined?.labels !== undefined
      })
      return mayHave ? 'a statement asks for roles' : undefined
    }
  }
  const { methods } = rule.reach ?? {}
  if (methods !== undefined && isTouched) return 'a statement asks for methods'
  if (raw.amount !== undefined) return UNTOLD.args
  if (skill === undefined && rule.skills !== undefined) return 'a statement asks for the skill'
  for (const { about } of rule.guards) if (UNTOLD[about] !== undefined) return UNTOLD[about]
  return undefined
}

const KINDS = { read: 'path', write: 'path', run: 'binary', env: 'env', scope: 'scope' } as const

function readDescribed(text: string): Resource | undefined {
  const space = text.indexOf(' ')
  const word = text.slice(0, space)
  const rest = text.slice(space + 1)
  const read =
    word === 'network'
      ? readNamedResource(rest.includes('://') ? 'url' : 'host', rest)
      : Object.hasOwn(KINDS, word)
        ? readNamedResource(KINDS[word as keyof typeof KINDS], rest, { access: word === 'write' ? 'write' : 'read' })
        : undefined
  // A text that was cut or escaped on its way into the log would name another thing.
  return read?.ok === true && describeResource(read.resource) === text ? read.resource : undefined
}
