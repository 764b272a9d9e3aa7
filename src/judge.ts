// The way of a call through the rooms: manifest → arguments → resources → policy. Each step hands on what is established so
// far; the first refusal is the answer. That the run, the ticket and the token still hold was checked by the caller, and
// will be again before the answer is given.

import { type Denial, deny, type RuleRef } from './core/denial.ts'
import type { JsonObject } from './core/json.ts'
import { copyPlain } from './core/plain.ts'
import type { Resource } from './core/resource.ts'
import { isName } from './core/text.ts'
import { given, type House } from './house.ts'
import { bindCopied } from './manifest/bind.ts'
import type { Manifest } from './manifest/manifest.ts'
import type { PolicyVerdict } from './policy/engine.ts'

/** What is established about a call when judging ends: as much as was reached, and the refusal if there was one. */
export interface Judged {
  readonly tool: string
  readonly args?: JsonObject
  readonly resources: readonly Resource[]
  readonly rules: readonly RuleRef[]
  readonly denial?: Denial
  readonly observed?: PolicyVerdict
}

/** On whose behalf a call is judged. */
export interface Caller {
  readonly node: string
  readonly roles: readonly string[]
  readonly toolScope: readonly string[]
  readonly manifest: Manifest
}

/** The tool a request names, read once and without running a getter; `undefined` when it names none. */
export function toolOf(request: unknown): string | undefined {
  const tool = ownValue(request, 'tool')
  return isName(tool) ? tool : undefined
}

export function judge(house: House, caller: Caller, tool: string, request: unknown): Judged {
  const { node, manifest } = caller
  const subject = { node, tool }
  if (!manifest.tools.has(tool)) {
    const missing = `tools: [{ name: ${tool} }] in ${manifest.file}`
    return refusal(
      tool,
      deny('tool_undeclared', `skill "${manifest.skill}" does not declare this tool`, {
        subject: { ...subject, skill: manifest.skill },
        missing,
      }),
    )
  }
  if (!caller.toolScope.includes(tool)) {
    const missing = `tool_scope: [${tool}] on node ${node}`
    return refusal(
      tool,
      deny('tool_out_of_scope', 'the tool is not in the tool_scope of this node', { subject, missing }),
    )
  }

  const copied = copyPlain(ownValue(request, 'args') ?? {})
  if (!copied.ok)
    return refusal(tool, deny(copied.code, copied.detail, { subject: { ...subject, argument: copied.pointer } }))
  if (!isObject(copied.value))
    return refusal(tool, deny('arguments_invalid', 'the arguments are not an object', { subject }))
  const bound = bindCopied(manifest, tool, copied.value)
  if (!bound.ok) {
    return {
      ...refusal(tool, { ...bound.denial, subject: { ...subject, ...bound.denial.subject } }),
      args: copied.value,
    }
  }

  const { args, resources } = bound
  const question = { node, roles: caller.roles, skill: manifest.skill, tool, args, resources }
  const verdict = house.policy.evaluate(question)
  return {
    tool,
    args,
    resources,
    rules: verdict.rules,
    ...(verdict.decision === 'allow' ? {} : { denial: verdict.denial }),
    ...given('observed', house.candidate?.evaluate(question)),
  }
}

const NO_RESOURCES: readonly Resource[] = Object.freeze([])

/** What is established when judging ends before there are resources. */
export function refusal(tool: string, denial: Denial): Judged {
  return { tool, resources: NO_RESOURCES, rules: denial.rules, denial }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function ownValue(object: unknown, key: string): unknown {
  if (typeof object !== 'object' || object === null) return undefined
  return Object.getOwnPropertyDescriptor(object, key)?.value
}
