// 330 tool specifications that were written for other purposes than ours: every one becomes a tool of a manifest that
// loads, and a policy whose conditions are typed by its arguments loads and decides on them.

import { describe, expect, test } from 'vitest'

import type { JsonObject, JsonValue } from '../../../src/core/json.ts'
import { parsePointer } from '../../../src/core/pointer.ts'
import { formatProblems } from '../../../src/core/problem.ts'
import { bindCall } from '../../../src/manifest/bind.ts'
import { importMcpTools } from '../../../src/manifest/import/mcp-tools.ts'
import type { Manifest } from '../../../src/manifest/manifest.ts'
import { ManifestValidator } from '../../../src/manifest/validator.ts'
import { PolicyEngine } from '../../../src/policy/engine.ts'
import { corpus } from '../../support/corpora.ts'
import { asToolList, readToolkits, type Toolkit } from './toolemu.ts'
import { otherType, typedConditions } from './typed-rules.ts'

const folder = corpus('agent')
const toolkits: readonly Toolkit[] = folder === undefined ? [] : readToolkits(folder)

function importToolkit(toolkit: Toolkit): {
  readonly manifest: Manifest
  readonly todo: number
  readonly warnings: number
} {
  const imported = importMcpTools({ name: toolkit.toolkit, value: asToolList(toolkit) }, { skill: toolkit.toolkit })
  if (!imported.ok) throw new Error(formatProblems(imported.problems))
  const manifest = new ManifestValidator().load({ name: toolkit.toolkit, value: imported.manifest })
  return { manifest, todo: imported.todo.length, warnings: imported.warnings.length }
}

/** One permit a tool, its conditions typed by the input schema. */
function typedPolicy(manifest: Manifest): JsonObject {
  const rules = [...manifest.tools.values()].map(({ name, inputSchema }) => {
    const { conditions } = typedConditions(inputSchema ?? { type: 'object' })
    const args = Object.keys(conditions).length === 0 ? {} : { args: conditions }
    return {
      id: `${manifest.skill}.${name}`,
      effect: 'permit',
      nodes: ['agent'],
      skills: [manifest.skill],
      tools: [name],
      ...args,
    }
  })
  return { version: 1, rules } as unknown as JsonObject
}

describe.skipIf(folder === undefined)('ToolEmu', () => {
  test('every tool is imported, with its schema', () => {
    const imported = toolkits.map(importToolkit)
    const tools = imported.flatMap(({ manifest }) => [...manifest.tools.values()])
    const todos = imported.reduce((sum, { todo }) => sum + todo, 0)
    process.stdout.write(`ToolEmu: ${toolkits.length} toolkits, ${tools.length} tools, ${todos} things to declare\n`)
    expect([toolkits.length, tools.length]).toEqual([38, 330])
    expect(tools.filter(({ inputSchema }) => inputSchema === undefined)).toEqual([])
    expect(imported.filter(({ warnings }) => warnings > 0)).toEqual([])
    // Nothing was granted, and no argument was mapped in silence.
    expect(tools.filter(({ resources, effect }) => resources.length > 0 || effect !== 'unsafe')).toEqual([])
    for (const { manifest } of imported) {
      const { allowedHosts, readablePaths, writablePaths, allowedBinaries, allowedEnv } = manifest
      expect([allowedHosts, readablePaths, writablePaths, allowedBinaries, allowedEnv].flat()).toEqual([])
    }
  })

  test('every typed rule loads, allows what it describes, and nothing of another type', () => {
    const counts = { rules: 0, conditions: 0, allowed: 0, denied: 0 }
    for (const toolkit of toolkits) {
      const { manifest } = importToolkit(toolkit)
      const loaded = PolicyEngine.load({ name: toolkit.toolkit, value: typedPolicy(manifest) })
      if (!loaded.ok) throw new Error(formatProblems(loaded.problems))
      counts.rules += loaded.engine.ruleCount
      for (const { name, inputSchema } of manifest.tools.values()) {
        const { conditions, args } = typedConditions(inputSchema ?? { type: 'object' })
        const ask = (given: JsonObject): string =>
          loaded.engine.evaluate({ node: 'agent', skill: manifest.skill, tool: name, args: given, resources: [] })
            .decision
        const bound = bindCall(manifest, name, args)
        expect(bound.ok, name).toBe(true)
        expect(ask(args), name).toBe('allow')
        counts.allowed++
        for (const pointer of Object.keys(conditions)) {
          counts.conditions++
          expect(ask(replaced(args, parsePointer(pointer) ?? []) as JsonObject), `${name} ${pointer}`).toBe('deny')
          counts.denied++
        }
      }
    }
    process.stdout.write(`ToolEmu: ${JSON.stringify(counts)}\n`)
    expect(counts.rules).toBe(330)
    expect(counts.allowed).toBe(330)
    expect(counts.denied).toBe(counts.conditions)
    expect(counts.conditions).toBe(852)
  })
})

/** `value` with something of another type at `tokens`. */
function replaced(value: JsonValue, tokens: readonly string[]): JsonValue {
  const [token, ...rest] = tokens
  if (token === undefined) return otherType(value)
  if (Array.isArray(value)) return value.map((item, index) => (String(index) === token ? replaced(item, rest) : item))
  return Object.fromEntries(
    Object.entries(value as JsonObject).map(([name, item]) => [name, name === token ? replaced(item, rest) : item]),
  )
}
