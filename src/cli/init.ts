// `agentport init`: a manifest and a policy to start from. They grant what the source states and nothing else; all that
// could be more stands in comments.

import { randomBytes } from 'node:crypto'
import { linkSync, lstatSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'

import type { JsonObject } from '../core/json.ts'
import { formatProblems } from '../core/problem.ts'
import { isName } from '../core/text.ts'
import { yamlText } from '../linux/learn/yaml-text.ts'
import type { Imported, ImportTodo } from '../manifest/import/imported.ts'
import type { Manifest } from '../manifest/manifest.ts'
import { ManifestValidator } from '../manifest/validator.ts'
import { readSource } from '../node/source.ts'
import { PolicyEngine } from '../policy/engine.ts'
import { type Command, readOptions, UsageError } from './command.ts'
import { laidOut } from './fmt.ts'
import { describeTodo, importSource, readSkill, reportNotes } from './import.ts'

const HELP = `Usage: agentport init [directory] [options]

Writes manifest.yaml and policy.yaml into the directory (default: the current one). The manifest asks for what the source
states and for nothing else; the policy permits exactly the tools of the manifest, to one role, and has tests that say so.

  --from file        a SKILL.md, an openclaw.plugin.json, or the result of an MCP tools/list in a .json file
  --skill name       the name of the skill (default: the source's, or the name of the directory)
  --force            replace files that exist
  --json             one JSON object: { ok, files, skill, todo, warnings } or { ok, problems }

Exit codes: 0 written, 1 the source cannot be imported, 2 could not run; then nothing was written.`

export const init: Command = {
  name: 'init',
  summary: 'write a manifest and a policy to start from',
  help: HELP,
  run: async (args, output) => {
    const { values, positionals } = readOptions(args, {
      from: { type: 'string' },
      skill: { type: 'string' },
      force: { type: 'boolean' },
      json: { type: 'boolean' },
    })
    const [directory = '.', ...more] = positionals
    if (more.length > 0) throw new UsageError('name one directory')
    const force = values['force'] === true
    const files = ['manifest.yaml', 'policy.yaml'].map((name) => join(directory, name))
    const present = files.filter((file) => lstatSync(file, { throwIfNoEntry: false }) !== undefined)
    if (present.length > 0 && !force)
      throw new UsageError(`${present.join(' and ')} exist already; --force replaces them`)
    // Replacing one and failing on the other would leave two files that do not belong together.
    const held = files.find((file) => lstatSync(file, { throwIfNoEntry: false })?.isDirectory() === true)
    if (held !== undefined) throw new UsageError(`${held} is a directory`)
    const imported = startFrom(values['from'], readSkill(values['skill']), directory)
    if (!imported.ok) {
      if (values['json'] === true) output.out(JSON.stringify(imported, undefined, 2))
      else output.err(formatProblems(imported.problems))
      return 1
    }
    const manifest = laidOut('manifest', {
      file: 'manifest.yaml',
      text: manifestText(imported.manifest, imported.todo),
    })
    const loaded = new ManifestValidator().load({ file: 'manifest.yaml', text: manifest })
    const policy = laidOut('policy', { file: 'policy.yaml', text: policyText(loaded) })
    // Never a file that the next command would refuse.
    PolicyEngine.from({ file: 'policy.yaml', text: policy })
    mkdirSync(directory, { recursive: true })
    writeTogether(
      [manifest, policy].map((text, index) => ({ path: files[index] ?? '', text })),
      force,
    )
    const { todo, warnings } = imported
    if (values['json'] === true) {
      output.out(JSON.stringify({ ok: true, files, skill: loaded.skill, todo, warnings }, undefined, 2))
      return 0
    }
    reportNotes(imported, output)
    for (const file of files) output.out(`✓ ${file}`)
    if (todo.length > 0)
      output.out(
        `${todo.length} ${todo.length === 1 ? 'thing' : 'things'} still to declare; they stand in ${files[0] ?? ''}`,
      )
    return 0
  },
}

function startFrom(from: unknown, given: string | undefined, directory: string): Imported {
  const base = basename(resolve(directory))
  // A list of MCP tools has no name of its own, and may have that of its directory.
  if (typeof from === 'string') return importSource(readSource(from), undefined, given, isName(base) ? base : undefined)
  const skill = given ?? base
  if (!isName(skill)) throw new UsageError('--skill is needed: the name of the directory is not the name of a skill')
  const manifest = { skill, tools: [], file_access: 'none', binary_access: 'none' }
  return { ok: true, manifest, todo: [], warnings: [] }
}

const MANIFEST_HEAD = `# What this skill says it needs. It grants nothing: a call runs when this file and the policy both allow it.
# An absent key means none. Every key: docs/manifest.md. Check both files:
# agentport check . && agentport lint . && agentport test .
`

const MANIFEST_EXAMPLE = `
# A tool has a name, the JSON Schema of its arguments, and says which of them name hosts, files or programs:
#
# tools:
#   - name: fetch_page
#     effect: pure
#     input_schema:
#       type: object
#       properties: { url: { type: string, maxLength: 2000 } }
#       required: [url]
#       additionalProperties: false
#     resources:
#       - { from: /url, kind: url }
#
# What the mapped arguments may name is listed here; what is not listed is refused:
#
# allowed_hosts: [api.example.com]
# readable_paths: [/srv/data/in/**]
# writable_paths: [/srv/data/out/**]
# allowed_binaries: [/usr/bin/jq]
# allowed_env: [LANG]
# limits: { wall_ms: 30000, memory_mb: 512, processes: 16 }
`

function manifestText(manifest: JsonObject, todo: readonly ImportTodo[]): string {
  const open = todo.map((one) => `# - ${describeTodo(one)}\n#   ${one.why}\n`)
  const list = open.length === 0 ? '' : `\n# Still to declare:\n#\n${open.join('')}`
  return MANIFEST_HEAD + yamlText(manifest) + list + MANIFEST_EXAMPLE
}

const POLICY_HEAD = `# What the operator grants. Nothing is allowed that no rule permits; a forbid beats everything; order never matters.
# The language: docs/policy.md; its tests: docs/testing.md. A rule without roles or nodes is an error: name whom it is for.
`

const POLICY_EXAMPLE = `
# Narrow a permit by conditions on arguments, stop what must never happen, ask a human before what cannot be undone:
#
#   - id: never-internal
#     effect: forbid
#     roles: ["*"]
#     tools: ["*"]
#     hosts: ["**.internal.example.com"]
#   - id: ask-before-paying
#     effect: require_approval
#     roles: ["*"]
#     tools: [pay]
#     args: { /amount: { min: 0, max: 500 } }
`

/** Permits the tools that can be called, with all that the manifest asks for, to nodes named like the skill. */
function policyText(manifest: Manifest): string {
  const { skill } = manifest
  const tools = [...manifest.tools.values()].filter(({ inScope }) => inScope).map(({ name }) => name)
  if (tools.length === 0) {
    const start = yamlText({ version: 1, name: skill })
    const why = '# The manifest declares no tool yet, so there is nothing to permit.\n'
    return `${POLICY_HEAD}${start}${why}rules: []\n${POLICY_EXAMPLE}${policyTests(skill, undefined)}`
  }
  const lists = {
    hosts: manifest.allowedHosts.map(({ text }) => text),
    binaries: manifest.allowedBinaries,
    env: manifest.allowedEnv,
  }
  const rule = {
    id: skill,
    effect: 'permit',
    roles: [skill],
    skills: [skill],
    tools,
    ...Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0)),
    reason: 'the tools of the manifest, with what it asks for',
  }
  const start = yamlText({ version: 1, name: skill })
  const roles = `# The nodes that may use the skill: write their names here.\n${yamlText({ roles: { [skill]: { nodes: [skill] } } })}`
  return `${POLICY_HEAD}${start}${roles}${yamlText({ rules: [rule] })}${POLICY_EXAMPLE}${policyTests(skill, tools[0])}`
}

/** What the policy decides as it is written: whoever changes it changes these. */
function policyTests(skill: string, tool: string | undefined): string {
  const expect = { decision: 'deny', code: 'no_matching_permit' }
  const other = skill === 'other' ? 'another' : 'other'
  const tests =
    tool === undefined
      ? [{ name: 'nothing is permitted yet', request: { node: skill, skill, tool: 'fetch_page' }, expect }]
      : [
          { name: `the skill may call ${tool}`, request: { node: skill, skill, tool }, expect: 'allow' },
          { name: 'other nodes may not', request: { node: other, skill, tool }, expect },
        ]
  return `\n${yamlText({ tests })}`
}

/** All of the files or none; none is ever seen half written, and without `force` none is replaced. */
function writeTogether(files: readonly { readonly path: string; readonly text: string }[], force: boolean): void {
  const temporaries = files.map(({ path }) => `${path}.${randomBytes(8).toString('hex')}.tmp`)
  const placed: string[] = []
  try {
    for (const [index, { text }] of files.entries())
      writeFileSync(temporaries[index] ?? '', text, { flag: 'wx', mode: 0o644 })
    for (const [index, { path }] of files.entries()) {
      const temporary = temporaries[index] ?? ''
      if (force) renameSync(temporary, path)
      // A link is made only where there is nothing, not even a link that leads nowhere.
      else linkSync(temporary, path)
      if (!force) placed.push(path)
    }
  } catch (error) {
    for (const path of placed) rmSync(path, { force: true })
    throw error
  } finally {
    for (const temporary of temporaries) rmSync(temporary, { force: true })
  }
}
