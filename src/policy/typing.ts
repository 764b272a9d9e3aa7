// Statements held against the tools they speak of. A condition on an argument that no such tool has, or has with another
// type, and a tool that does not exist, would be a statement that silently never applies.

import type { ProblemOptions, SourceDocument } from '../core/document.ts'
import type { Glob } from '../core/glob.ts'
import type { JsonObject } from '../core/json.ts'
import { InputSchemaCompiler } from '../core/json-schema/input-schema.ts'
import { reach } from '../core/json-schema/schema-reach.ts'
import { closestName } from '../core/nearest.ts'
import { formatPointer } from '../core/pointer.ts'
import type { Problem, ProblemCode } from '../core/problem.ts'
import type { Rule } from './rule.ts'
import type { RawPolicy } from './schema.ts'

/** A tool as statements are typed against it. */
export interface ToolShape {
  readonly name: string
  /** Name of the skill that declares it. */
  readonly skill?: string
  /** JSON Schema of the arguments; absent: it takes none. */
  readonly inputSchema?: JsonObject
}

/** What becomes of a statement that names a tool in full that is not among those known. */
export type UnknownTools = 'error' | 'warning'

const NO_ARGUMENTS: JsonObject = { type: 'object', additionalProperties: false }
const NUMBER: readonly string[] = ['number']

/**
 * @throws TypeError when a tool's input schema is not one that manifests may have: what cannot be followed types nothing.
 */
export function checkTools(tools: readonly ToolShape[]): void {
  const compiler = new InputSchemaCompiler()
  for (const { name, inputSchema } of tools) {
    if (inputSchema === undefined || compiler.compile(inputSchema).ok) continue
    throw new TypeError(`the input schema of tool "${name}" is not one a manifest may have`)
  }
}

/** `statements` are those of the document: its rules, limits and obligations in their order. */
export function checkTyping(
  document: SourceDocument,
  policy: RawPolicy,
  statements: readonly Rule[],
  tools: readonly ToolShape[],
  unknownTools: UnknownTools,
): readonly Problem[] {
  const problems: Problem[] = []
  const { rules, limits = [], obligations = [] } = policy
  const places = [
    ...rules.map((_, index) => ['rules', index] as const),
    ...limits.map((_, index) => ['limits', index] as const),
    ...obligations.map((_, index) => ['obligations', index] as const),
  ]
  statements.forEach((rule, index) => {
    const place = places[index]
    if (place === undefined) return
    const report = (
      code: ProblemCode,
      at: readonly (string | number)[],
      message: string,
      more: ProblemOptions,
    ): void => {
      problems.push(document.problem(code, formatPointer([...place, ...at]), message, more))
    }
    new StatementTyping(rule, tools, unknownTools, report).check()
  })
  return problems
}

type Report = (code: ProblemCode, at: readonly (string | number)[], message: string, more: ProblemOptions) => void

class StatementTyping {
  readonly #rule: Rule
  readonly #tools: readonly ToolShape[]
  readonly #unknownTools: UnknownTools
  readonly #report: Report

  constructor(rule: Rule, tools: readonly ToolShape[], unknownTools: UnknownTools, report: Report) {
    this.#rule = rule
    this.#unknownTools = unknownTools
    this.#report = report
    const { skills } = rule
    this.#tools = tools.filter(
      ({ skill }) => skills === undefined || skill === undefined || skills.some((glob) => glob.matches(skill)),
    )
  }

  check(): void {
    this.#rule.tools.forEach((glob, index) => {
      const found = this.#tools.filter(({ name }) => glob.matches(name))
      if (found.length === 0) this.#reportUnknown(glob, index)
      // Of a pattern it is enough that some tool has the argument; a tool named in full has to have it.
      else if (glob.literal !== undefined) this.#checkConditions(found, glob.literal)
    })
    const patterns = this.#rule.tools.filter(({ literal }) => literal === undefined)
    const selected = this.#tools.filter(({ name }) => patterns.some((glob) => glob.matches(name)))
    if (selected.length > 0) this.#checkConditions(selected, undefined)
  }

  #reportUnknown(glob: Glob, index: number): void {
    const meant = closestName(
      glob.text,
      this.#tools.map(({ name }) => name),
    )
    const hint = meant === undefined ? 'no skill declares it' : `did you mean ${meant}?`
    // A permit for a tool that does not exist opens nothing; a forbid of one protects nothing and looks as if it did. A
    // pattern is how a policy that many gateways share says "where there is one".
    const isHarmless = this.#rule.effect === 'permit' || glob.literal === undefined
    const severity = isHarmless ? 'warning' : this.#unknownTools
    this.#report('unknown_reference', ['tools', index], 'no tool has this name', { hint, severity })
  }

  /** `name` is that of the one tool they all are; `undefined` when they were selected by a pattern. */
  #checkConditions(tools: readonly ToolShape[], name: string | undefined): void {
    for (const { about, condition } of this.#rule.guards) {
      if (about !== 'args' || condition === undefined) continue
      this.#checkPlace(tools, name, condition.tokens, condition.types, ['args', condition.pointer], 'key')
    }
    const amount = this.#rule.limit?.amount
    if (amount !== undefined) this.#checkPlace(tools, name, amount, NUMBER, ['amount'], 'value')
  }

  #checkPlace(
    tools: readonly ToolShape[],
    name: string | undefined,
    tokens: readonly string[],
    types: readonly string[],
    at: readonly string[],
    on: 'key' | 'value',
  ): void {
    const whose = name === undefined ? 'none of the tools this is about' : `tool "${name}"`
    const has = name === undefined ? 'has' : 'has no'
    const argument = name === undefined ? 'such an argument' : 'such argument'
    const can = (leaf: 'any' | readonly string[]): boolean =>
      tools.some(({ inputSchema }) => reach(inputSchema ?? NO_ARGUMENTS, tokens, leaf).possible)
    if (!can('any')) {
      this.#report('unknown_reference', at, `${whose} ${has} ${argument}`, {
        on,
        hint: this.#argumentHint(tools, tokens),
      })
    } else if (!can(types)) {
      const message = `${name === undefined ? 'in no tool this is about' : `in tool "${name}" never`} of type ${types.join(' or ')}`
      this.#report('contradiction', at, `the argument is ${message}`, { on })
    }
  }

  #argumentHint(tools: readonly ToolShape[], tokens: readonly string[]): string {
    const names = new Set<string>()
    for (const { inputSchema } of tools) {
      const properties = inputSchema?.['properties']
      if (typeof properties === 'object' && properties !== null)
        for (const key of Object.keys(properties)) names.add(key)
    }
    if (names.size === 0) return 'the input schema names no arguments'
    const meant = closestName(tokens[0] ?? '', [...names])
    return meant === undefined ? `its arguments: ${[...names].slice(0, 8).join(', ')}` : `did you mean /${meant}?`
  }
}
