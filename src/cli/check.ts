// `agentport check`: do the documents hold together, each alone and with the others?

import { basename, dirname } from 'node:path'

import { loadTrust } from '../attestation/trust.ts'
import { parseDocument, type SourceText } from '../core/document.ts'
import { formatProblems, type Problem } from '../core/problem.ts'
import { loadGraph } from '../halt/graph.ts'
import { capabilitiesOf, toolsOfManifest } from '../manifest/capabilities.ts'
import type { Manifest } from '../manifest/manifest.ts'
import { ManifestValidator } from '../manifest/validator.ts'
import { realPaths } from '../node/real-paths.ts'
import { PolicyEngine } from '../policy/engine.ts'
import { describeNearGrant } from '../policy/fit-nearest.ts'
import { type Command, type Output, readOptions, readPairs, UsageError } from './command.ts'
import { type DocumentKind, type FoundDocument, findDocuments, skillNameFor } from './documents.ts'

const HELP = `Usage: agentport check <path>… [options]

Checks policies, manifests, graphs and trust documents, whether every manifest is inside what the policies permit, and
whether the rules speak of tools and arguments that the manifests have.
A directory is searched for files named policy.*, *.policy.*, manifest.*, claw.toml, graph.*, trust.* (.yaml .yml .json .toml).
All policies found form one set.

  --var name=value   value of \${name} in policies and manifests; repeatable
  --filesystem       paths of manifests are followed through the links of this machine, and judged where they really lie
  --strict           warnings count as problems
  --json             one JSON object: { ok, documents, problems }

Exit codes: 0 no problems, 1 problems, 2 nothing to check or unreadable.`

interface Checked {
  readonly documents: readonly { readonly kind: DocumentKind; readonly file: string }[]
  readonly problems: readonly Problem[]
}

export const check: Command = {
  name: 'check',
  summary: 'validate policies, manifests, graphs and trust documents, and their fit together',
  help: HELP,
  run: async (args, output) => {
    const { values, positionals } = readOptions(args, {
      var: { type: 'string', multiple: true },
      filesystem: { type: 'boolean' },
      strict: { type: 'boolean' },
      json: { type: 'boolean' },
    })
    if (positionals.length === 0) throw new UsageError('name the files or directories to check')
    const found = findDocuments(positionals)
    if (found.length === 0)
      throw new UsageError(
        `nothing in ${positionals.join(', ')} is named like a policy, manifest, graph or trust document`,
      )
    const checked = checkDocuments(found, readPairs(values['var'], 'var'), values['filesystem'] === true)
    const failed = checked.problems.some((problem) => problem.severity === 'error' || values['strict'] === true)
    if (values['json'] === true) output.out(JSON.stringify({ ok: !failed, ...checked }, undefined, 2))
    else report(checked, failed, output)
    return failed ? 1 : 0
  },
}

function checkDocuments(
  found: readonly FoundDocument[],
  variables: Readonly<Record<string, string>>,
  filesystem: boolean,
): Checked {
  const problems: Problem[] = []
  const of = (kind: DocumentKind): readonly SourceText[] =>
    found.filter((one) => one.kind === kind).map((one) => one.source)

  const validator = new ManifestValidator({ variables })
  const manifests = of('manifest').map((source) => ({
    source,
    validated: validator.validate(source, skillNameFor(source, basename(dirname(source.file)))),
  }))
  const valid = manifests.flatMap(({ source, validated }) =>
    validated.ok ? [{ source, manifest: validated.manifest }] : [],
  )
  const engine = loadPolicies(of('policy'), variables, valid, valid.length === manifests.length, problems)
  for (const { validated } of manifests) problems.push(...(validated.ok ? validated.warnings : validated.problems))
  const skills = new Map<string, Manifest>()
  for (const { source, manifest } of valid) {
    skills.set(manifest.skill, manifest)
    if (engine !== undefined) problems.push(...excessProblems(engine, manifest, source))
    if (filesystem) problems.push(...realPathProblems(engine, manifest, source))
  }

  for (const source of of('graph')) {
    const parsed = loadGraph(source)
    if (!parsed.ok) problems.push(...parsed.problems)
    else if (skills.size > 0) problems.push(...graphProblems(source, parsed.graph.nodes.values(), skills))
  }
  for (const source of of('trust')) {
    const trust = loadTrust(source)
    problems.push(...(trust.ok ? trust.warnings : trust.problems))
  }
  return { documents: found.map(({ kind, source }) => ({ kind, file: source.file })), problems }
}

/** The policies as one set, typed against the tools of the manifests where there are any. */
function loadPolicies(
  policies: readonly SourceText[],
  variables: Readonly<Record<string, string>>,
  manifests: readonly { readonly manifest: Manifest }[],
  complete: boolean,
  problems: Problem[],
): PolicyEngine | undefined {
  if (policies.length === 0) return undefined
  const tools = manifests.flatMap(({ manifest }) => toolsOfManifest(manifest))
  // Of a manifest that does not load the tools are not known, and a rule for one of them is no mistake.
  const typed = tools.length === 0 ? {} : ({ tools, unknownTools: complete ? 'error' : 'warning' } as const)
  const loaded = PolicyEngine.load(policies, { variables, ...typed })
  problems.push(...(loaded.ok ? loaded.engine.warnings : loaded.problems))
  return loaded.ok ? loaded.engine : undefined
}

/** A manifest that does not name its skill is of the skill whose directory it lies in. */
function excessProblems(engine: PolicyEngine, manifest: Manifest, source: SourceText): readonly Problem[] {
  const parsed = parseDocument(source)
  if (!parsed.ok) return parsed.problems
  return engine.excess(capabilitiesOf(manifest)).map(({ kind, text, pointer, nearest, missing }) => {
    const [near] = nearest
    const what = `no policy permits skill "${manifest.skill}" this ${kind}: ${text}`
    return parsed.document.problem(
      'not_granted',
      pointer,
      near === undefined ? what : `${what} (${describeNearGrant(near)})`,
      { hint: `take it out of the manifest, or permit it: ${missing}` },
    )
  })
}

/** What the lists hide: a permitted path that is a link to another one. */
function realPathProblems(
  engine: PolicyEngine | undefined,
  manifest: Manifest,
  source: SourceText,
): readonly Problem[] {
  const parsed = parseDocument(source)
  if (!parsed.ok) return parsed.problems
  const { document } = parsed
  const asked = capabilitiesOf(manifest)
  const { capabilities, moved, missing, unresolved } = realPaths(asked)
  const known = new Set(engine?.excess(asked).map(({ pointer }) => pointer))
  const beyond = new Set(engine?.excess(capabilities).map(({ pointer }) => pointer))
  return [
    ...moved.flatMap(({ kind, pointer, text, real }) => {
      if (!beyond.has(pointer) || known.has(pointer)) return []
      const message = `no policy permits skill "${manifest.skill}" this ${kind} where it really lies: ${text} is ${real}`
      return [document.problem('not_granted', pointer, message, { hint: 'remove the link, or permit its target' })]
    }),
    ...missing.map(({ pointer, path }) =>
      document.problem('unknown_reference', pointer, `there is no ${path} on this machine`, { severity: 'warning' }),
    ),
    ...unresolved.map(({ pointer, text, reason }) =>
      document.problem('invalid_value', pointer, `where ${text} really lies is not known: ${reason}`),
    ),
  ]
}

function graphProblems(
  source: SourceText,
  nodes: Iterable<{ readonly name: string; readonly skill: string; readonly toolScope: readonly string[] }>,
  skills: ReadonlyMap<string, Manifest>,
): readonly Problem[] {
  const parsed = parseDocument(source)
  if (!parsed.ok) return parsed.problems
  const problems: Problem[] = []
  for (const { name, skill, toolScope } of nodes) {
    const manifest = skills.get(skill)
    if (manifest === undefined) {
      problems.push(
        parsed.document.problem(
          'unknown_reference',
          `/nodes/${name}/skill`,
          `no manifest here is of skill "${skill}"`,
          { hint: `known skills: ${[...skills.keys()].join(', ')}` },
        ),
      )
      continue
    }
    toolScope.forEach((tool, index) => {
      if (manifest.tools.has(tool)) return
      problems.push(
        parsed.document.problem(
          'unknown_reference',
          `/nodes/${name}/tool_scope/${index}`,
          `skill "${skill}" declares no tool "${tool}"`,
          { hint: `its tools: ${[...manifest.tools.keys()].join(', ') || 'none'}` },
        ),
      )
    })
  }
  return problems
}

function report({ documents, problems }: Checked, failed: boolean, output: Output): void {
  if (problems.length > 0) output.err(`${formatProblems(problems)}\n`)
  const counts = new Map<DocumentKind, number>()
  for (const { kind } of documents) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  const what = [...counts]
    .map(([kind, count]) => `${count} ${kind}${count === 1 ? '' : kind === 'policy' ? ' documents' : 's'}`)
    .join(', ')
  const errors = problems.filter((problem) => problem.severity === 'error').length
  const counted = (count: number, word: string): string => `${count} ${word}${count === 1 ? '' : 's'}`
  const found = `${counted(errors, 'error')}, ${counted(problems.length - errors, 'warning')}`
  output.out(`${failed ? '✗' : '✓'} ${what}: ${found}`)
}
