// Observed runs → the manifest they would have needed, and everything a reader must know before signing it. Only ever adds
// to a manifest, and never across a denial: what a forbid, a statement of the manifest or the list of secrets touches is
// told and left out. A proposal grants nothing; the policy still has to.

import { parseDocument } from '../../core/document.ts'
import type { JsonObject, JsonValue } from '../../core/json.ts'
import { parsePath } from '../../core/path.ts'
import { formatProblems } from '../../core/problem.ts'
import { isName } from '../../core/text.ts'
import { substituteVariables } from '../../core/variables.ts'
import type { Observation } from '../observe/observation.ts'
import { Draft, type Existing, LIST_KEYS, type ProposeOptions, texts } from './draft.ts'
import { Notes, type ProposalNote } from './notes.ts'
import { yamlText } from './yaml-text.ts'

export type Proposal =
  | { readonly ok: true; readonly manifest: JsonObject; readonly yaml: string; readonly notes: readonly ProposalNote[] }
  /** Nothing can be proposed, and the notes say why. */
  | { readonly ok: false; readonly notes: readonly ProposalNote[] }

/** The union of what `observations` needed. Throws `TypeError` for options that cannot be used. */
export function proposeManifest(observations: readonly Observation[], options: ProposeOptions): Proposal {
  checkOptions(observations, options)
  const notes = new Notes()
  reportRuns(observations, options.allowLoss === true, notes)
  const existing = readExisting(options, notes)
  if (notes.fatal || existing === undefined) return { ok: false, notes: notes.list() }
  const draft = new Draft(existing, observations, options, notes)
  draft.addPrograms()
  draft.addLibraries()
  draft.addFiles()
  draft.addEgress()
  draft.addRights()
  reportCalls(observations, existing.resolved, notes)
  notes.add('info', 'environment variables cannot be observed: allowed_env is as it was')
  const manifest = draft.manifest()
  return Object.freeze({ ok: true, manifest, yaml: yamlText(manifest), notes: notes.list() })
}

function checkOptions(
  observations: readonly Observation[],
  { skill, roots = [], variables = {}, siblings }: ProposeOptions,
): void {
  if (observations.length === 0) throw new TypeError('a proposal needs an observation')
  if (!isName(skill)) throw new TypeError('options.skill is not a name')
  for (const root of [...roots, ...Object.values(variables)]) {
    const parsed = parsePath(root)
    if (!parsed.ok || parsed.path !== root || root === '/')
      throw new TypeError('a root is an absolute directory, without a slash at its end, and not /')
  }
  if (Object.keys(variables).some((name) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)))
    throw new TypeError('a variable is named by letters, digits and _')
  if (siblings !== undefined && !(Number.isSafeInteger(siblings) && siblings >= 2))
    throw new TypeError('options.siblings is a whole number from 2 on')
}

function reportRuns(observations: readonly Observation[], allowLoss: boolean, notes: Notes): void {
  observations.forEach((observation, index) => {
    const run = `run ${index + 1}`
    const { lost, blind, exit, leftBehind, unrepresentable } = observation
    if (!observation.complete || lost > 0 || blind.length > 0) {
      const why = `${run} was not observed completely (${[...(lost > 0 ? [`${lost} records lost`] : []), ...blind].join(', ')})`
      if (allowLoss) notes.add('warning', `${why}: the proposal may lack what it needed`)
      else notes.refuse(`${why}: nothing is proposed from it`)
    }
    if (exit.code !== 0) {
      const how = exit.signal === undefined ? `with code ${exit.code ?? 'unknown'}` : `by ${exit.signal}`
      notes.add('warning', `${run} ended ${how}: what it does when all is well may be more`)
    }
    if (leftBehind)
      notes.add('warning', `${run} left processes behind, which were ended: what else they do was not seen`)
    if (unrepresentable.count > 0) {
      const text = 'paths that no manifest can name'
      for (const example of unrepresentable.examples) notes.add('warning', text, example)
    }
  })
}

function reportCalls(observations: readonly Observation[], existing: JsonObject, notes: Notes): void {
  const forbidden = new Set(texts(existing, 'forbidden_syscalls'))
  for (const { calls, refused } of observations) {
    for (const { name } of refused) notes.add('warning', 'system calls that no confinement allows were tried', name)
    for (const { name } of calls) {
      if (forbidden.has(name)) notes.add('warning', 'system calls were tried that the manifest gives up', name)
    }
  }
}

function readExisting({ existing, skill, variables = {} }: ProposeOptions, notes: Notes): Existing | undefined {
  if (existing === undefined) return { written: { skill }, resolved: { skill } }
  const parsed = parseDocument(existing)
  const filled = parsed.ok ? substituteVariables(parsed.document, variables) : parsed
  if (!parsed.ok || !filled.ok) {
    notes.refuse(`the existing manifest cannot be read: ${formatProblems(filled.ok ? [] : filled.problems)}`)
    return undefined
  }
  const written = parsed.document.value
  const resolved = filled.document.value
  if (!isObject(written) || !isObject(resolved)) {
    notes.refuse('the existing manifest is not an object')
    return undefined
  }
  if (Object.hasOwn(resolved, 'skill') && resolved['skill'] !== skill) {
    notes.refuse('the existing manifest is of another skill')
    return undefined
  }
  for (const key of LIST_KEYS) {
    const list = resolved[key]
    if (list === undefined || (Array.isArray(list) && list.every((item) => typeof item === 'string'))) continue
    notes.refuse(`${key} of the existing manifest is not a list of texts`)
    return undefined
  }
  return { written: Object.hasOwn(written, 'skill') ? written : { skill, ...written }, resolved }
}

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
