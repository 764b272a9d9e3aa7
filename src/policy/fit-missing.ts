// The least that a policy would have to say for a manifest's wish to be granted, as text an operator can paste. It is an
// offer to be judged, not advice: whether the skill should have it is the operator's question.

import { hostPatternsContain } from '../core/host-union.ts'
import { LIMITS } from '../core/limits.ts'
import { literalPathPattern } from '../core/path-literal.ts'
import type { Granting, Wish } from './fit-wish.ts'

/** More tools than this are written as all of the skill's. */
const MOST_TOOLS = 8

/** `rules: […]` or `egress: […]`, or both in one flow mapping: each is a YAML document of its own on one line. */
export function grantingStatements(wish: Wish, granting: Granting): string {
  const { skill, egress, grants, all } = granting
  const ids = new Set(all.map(({ ref }) => ref.id))
  const parts: string[] = []
  const permitted =
    wish.kind === 'host' &&
    hostPatternsContain(
      grants.flatMap(({ resources }) => resources.hosts),
      wish.host,
    )
  if (!permitted) {
    const id = freshId(`${wish.kind}-for-${skill}`, ids)
    const tools = toolsFor(wish, granting)
    parts.push(
      `rules: [{ id: ${quote(id)}, effect: permit, skills: [${quote(skill)}], roles: ["*"], tools: [${tools.map(quote).join(', ')}]${resourceKeys(wish)} }]`,
    )
  }
  if (
    wish.kind === 'host' &&
    egress.length > 0 &&
    !hostPatternsContain(
      egress.flatMap(({ hosts }) => hosts),
      wish.host,
    )
  ) {
    const id = freshId(`egress-for-${skill}`, new Set(egress.map((table) => table.id)))
    parts.push(`egress: [{ id: ${quote(id)}, roles: ["*"], hosts: [${quote(wish.text)}] }]`)
  }
  return parts.length === 1 ? parts.join('') : `{ ${parts.join(', ')} }`
}

/** Tools that are granted already, where there are any: the new rule is to grant nothing but the wish. */
function toolsFor(wish: Wish, { tools }: Granting): readonly string[] {
  if (wish.kind === 'tool') return [wish.text]
  return tools.length === 0 || tools.length > MOST_TOOLS ? ['*'] : tools
}

function resourceKeys(wish: Wish): string {
  const { kind, text } = wish
  const entry = `[${quote(kind === 'binary' ? literalPathPattern(text) : text)}]`
  switch (kind) {
    case 'tool':
      return ''
    case 'host':
      return `, hosts: ${entry}`
    case 'read':
    case 'write':
    case 'execute':
      return `, paths: { ${kind}: ${entry} }`
    case 'binary':
      return `, binaries: ${entry}`
    case 'library':
      return `, libraries: ${entry}`
    case 'env':
      return `, env: ${entry}`
    case 'right':
      return `, process_rights: ${entry}`
    case 'scope':
      return `, oauth_scopes: ${entry}`
  }
}

function freshId(wanted: string, taken: ReadonlySet<string>): string {
  const id = wanted.length > LIMITS.nameLength - 8 ? 'more' : wanted
  if (!taken.has(id)) return id
  for (let count = 2; ; count++) if (!taken.has(`${id}-${count}`)) return `${id}-${count}`
}

/** Words that YAML reads as something else than text, in any case. */
const WORDS = /^(?:y|n|yes|no|on|off|true|false|null|nan|inf)$/i

function quote(text: string): string {
  if (/^[A-Za-z][A-Za-z0-9_-]*$/.test(text) && !WORDS.test(text)) return text
  // A policy reads ${ as the begin of a variable.
  return JSON.stringify(text.replaceAll('${', () => '$${'))
}
