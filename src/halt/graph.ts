// A graph that holds together: every dependency exists, nothing waits for itself, every name is a name. What comes in is
// untrusted (a file, or whatever an agent planned); what comes out is frozen, and only what came out of here can be run.

import { canonicalJson } from '../core/canonical.ts'
import { sha256Hex } from '../core/crypto.ts'
import {
  documentFromValue,
  orderProblems,
  type ParsedDocument,
  parseDocument,
  type SourceDocument,
  type SourceText,
} from '../core/document.ts'
import { LIMITS } from '../core/limits.ts'
import { formatPointer } from '../core/pointer.ts'
import type { Position, Problem } from '../core/problem.ts'
import { shapeProblems } from '../core/shape.ts'
import { hasUnprintable, isName } from '../core/text.ts'
import { topologicalOrder } from './order.ts'
import { checkGraphShape, type ExecutionMode, type KeyStyle, type OnFailure, type RawNode } from './schema.ts'

/** One node, defaults filled in. */
export interface GraphNode {
  readonly name: string
  readonly skill: string
  /** Names of the nodes this one waits for. */
  readonly after: readonly string[]
  /** Empty when the graph gives the node no role. */
  readonly roles: readonly string[]
  /** Tools the node may call; empty means none. */
  readonly toolScope: readonly string[]
  /** `halt` for every critical node. */
  readonly onFailure: OnFailure
  /** Whether the graph itself says it. If not, the skill's manifest may ask for `halt`. */
  readonly onFailureStated: boolean
  readonly critical: boolean
  readonly executionMode: ExecutionMode
  /** How often the node may be started, 1 to 10. */
  readonly attempts: number
  /** How long one admission stays valid, in milliseconds. */
  readonly lifetimeMs: number
  /** Frozen. A policy can give roles by them. */
  readonly labels: Readonly<Record<string, string>>
}

/** A graph without cycles or loose ends. Made only by {@link parseGraph} and {@link loadGraph}. */
export interface Graph {
  /** `sha256:` and hex over the meaning: defaults filled in, order of nodes and lists left out. */
  readonly digest: string
  readonly file: string
  /** In an order in which every node comes after all it waits for. */
  readonly nodes: ReadonlyMap<string, GraphNode>
  /** Where the node stands in the file. */
  locate(node: string): Position | undefined
}

export type ParsedGraph =
  | { readonly ok: true; readonly graph: Graph }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/** The graph as the state machine walks it: numbers in topological order instead of names. */
export interface Plan {
  readonly nodes: readonly GraphNode[]
  readonly index: ReadonlyMap<string, number>
  readonly after: readonly (readonly number[])[]
  readonly dependents: readonly (readonly number[])[]
}

// A Map cannot be frozen, so scopes never read `graph.nodes`: they run the plan kept here, which nobody else can reach.
const plans = new WeakMap<object, Plan>()

/** The plan behind `graph`. Throws `TypeError` for an object that this file did not make. */
export function planOf(graph: Graph): Plan {
  const plan = typeof graph === 'object' && graph !== null ? plans.get(graph) : undefined
  if (plan === undefined) throw new TypeError('graph must come from parseGraph or loadGraph')
  return plan
}

/** A graph written in code: `{ nodes: { name: { skill, after, toolScope, onFailure, … } } }`, camelCase. Never throws. */
export function parseGraph(value: unknown, name = 'graph'): ParsedGraph {
  return readGraph(documentFromValue(value, name), 'code')
}

/** A graph written in a file: the same with snake_case keys, as YAML, JSON or TOML. Never throws on bad text. */
export function loadGraph(source: SourceText): ParsedGraph {
  return readGraph(parseDocument(source), 'file')
}

function readGraph(parsed: ParsedDocument, style: KeyStyle): ParsedGraph {
  if (!parsed.ok) return parsed
  const { document } = parsed
  if (countNodes(document) > LIMITS.graphNodes) {
    return refused([
      document.problem('too_large', '/nodes', `a graph has at most ${LIMITS.graphNodes} nodes`, { on: 'key' }),
    ])
  }
  const shape = checkGraphShape(document.value, style)
  if (!shape.ok) return refused(shapeProblems(document, shape.issues, shape.schema))
  return new GraphReader(document, style, shape.nodes).read()
}

function refused(problems: readonly Problem[]): ParsedGraph {
  return { ok: false, problems: orderProblems(problems) }
}

// Counted before the shape is checked: a check of a million nodes is itself the attack.
function countNodes(document: SourceDocument): number {
  const { value } = document
  if (value === null || typeof value !== 'object' || !Object.hasOwn(value, 'nodes')) return 0
  const nodes: unknown = (value as { readonly nodes?: unknown }).nodes
  return nodes === null || typeof nodes !== 'object' ? 0 : Object.keys(nodes).length
}

const NAME_RULE = 'a name is made of ASCII letters, digits and _ . : -'

class GraphReader {
  readonly #document: SourceDocument
  readonly #style: KeyStyle
  readonly #raw: ReadonlyMap<string, RawNode>
  readonly #problems: Problem[] = []

  constructor(document: SourceDocument, style: KeyStyle, raw: ReadonlyMap<string, RawNode>) {
    this.#document = document
    this.#style = style
    this.#raw = raw
  }

  read(): ParsedGraph {
    const names = [...this.#raw.keys()]
    const numbers = new Map(names.map((name, number) => [name, number]))
    const nodes = names.map((name) => this.#node(name, this.#raw.get(name) as RawNode))
    const after = nodes.map((node) => this.#upstreams(node, numbers))
    const ordering = topologicalOrder(after, reverse(after))
    if (!ordering.ok) for (const cycle of ordering.cycles) this.#cycle(cycle.map((number) => names[number] as string))
    if (this.#problems.length > 0 || !ordering.ok) return refused(this.#problems)
    return { ok: true, graph: this.#graph(ordering.order.map((number) => nodes[number] as GraphNode)) }
  }

  #node(name: string, raw: RawNode): GraphNode {
    const at = ['nodes', name]
    if (!isName(name)) this.#problem('invalid_value', at, NAME_RULE, 'key')
    this.#names([raw.skill], [...at, 'skill'], true)
    this.#names(raw.after, [...at, 'after'])
    this.#names(raw.toolScope, [...at, this.#spell('toolScope', 'tool_scope')])
    if (raw.role !== undefined) this.#names([raw.role], [...at, 'role'], true)
    if (raw.roles !== undefined) this.#names(raw.roles, [...at, 'roles'])
    if (raw.role !== undefined && raw.roles !== undefined) {
      this.#problem(
        'contradiction',
        [...at, 'role'],
        'role and roles are two ways to say one thing; write one of them',
        'key',
      )
    }
    if (raw.critical && raw.onFailure !== undefined && raw.onFailure !== 'halt') {
      const key = this.#spell('onFailure', 'on_failure')
      this.#problem('contradiction', [...at, key], `a critical node halts the run; ${key} cannot say ${raw.onFailure}`)
    }
    for (const [label, text] of Object.entries(raw.labels)) {
      if (!isName(label)) this.#problem('invalid_value', [...at, 'labels', label], NAME_RULE, 'key')
      if (hasUnprintable(text))
        this.#problem('invalid_value', [...at, 'labels', label], 'has characters that cannot be seen')
    }
    return Object.freeze({
      name,
      skill: raw.skill,
      after: Object.freeze([...raw.after]),
      roles: Object.freeze(raw.roles === undefined ? (raw.role === undefined ? [] : [raw.role]) : [...raw.roles]),
      toolScope: Object.freeze([...raw.toolScope]),
      onFailure: raw.critical ? 'halt' : (raw.onFailure ?? 'skip_downstream'),
      onFailureStated: raw.critical || raw.onFailure !== undefined,
      critical: raw.critical,
      executionMode: raw.executionMode,
      attempts: raw.attempts,
      lifetimeMs: raw.lifetimeMs,
      labels: Object.freeze({ ...raw.labels }),
    })
  }

  #names(names: readonly string[], at: readonly string[], single = false): void {
    const seen = new Set<string>()
    names.forEach((name, index) => {
      const place = single ? at : [...at, String(index)]
      if (!isName(name)) this.#problem('invalid_value', place, NAME_RULE)
      else if (seen.has(name)) this.#problem('duplicate_name', place, `${name} stands twice in this list`)
      seen.add(name)
    })
  }

  #upstreams(node: GraphNode, numbers: ReadonlyMap<string, number>): readonly number[] {
    const found: number[] = []
    node.after.forEach((upstream, index) => {
      const place = ['nodes', node.name, 'after', String(index)]
      const number = numbers.get(upstream)
      if (upstream === node.name) this.#problem('cyclic_reference', place, 'a node cannot wait for itself')
      else if (number !== undefined) found.push(number)
      else if (isName(upstream)) this.#problem('unknown_reference', place, `the graph has no node ${upstream}`)
    })
    return [...new Set(found)]
  }

  #cycle(names: readonly string[]): void {
    const shown = names.slice(0, 8).map((name) => (isName(name) ? name : '?'))
    const first = shown[0] ?? '?'
    const more = names.length > shown.length ? ` after … (${names.length} nodes)` : ''
    const waits = `${shown.join(' after ')}${more} after ${first}`
    this.#problem('cyclic_reference', ['nodes', names[0] ?? '', 'after'], `these nodes wait for each other: ${waits}`)
  }

  #problem(code: Problem['code'], tokens: readonly string[], message: string, on: 'key' | 'value' = 'value'): void {
    // The rest of a hopeless document is not looked up: locating a place is the expensive part.
    if (this.#problems.length >= LIMITS.problems) return
    this.#problems.push(this.#document.problem(code, formatPointer(tokens), message, { on }))
  }

  #spell(camel: string, snake: string): string {
    return this.#style === 'file' ? snake : camel
  }

  #graph(nodes: readonly GraphNode[]): Graph {
    const document = this.#document
    const names = new Set(nodes.map((node) => node.name))
    return makeGraph(nodes, document.file, (name) =>
      names.has(name) ? document.locate(formatPointer(['nodes', name]), 'key') : undefined,
    )
  }
}

/**
 * The same graph, in which a node halts the run when `halts` says so of its skill and the graph itself says nothing. For
 * the `on_failure: halt` of manifests: a manifest can ask for more care than the default, never for less.
 */
export function withHaltingSkills(graph: Graph, halts: (skill: string) => boolean): Graph {
  const { nodes } = planOf(graph)
  const filled = nodes.map((node) => {
    return node.onFailureStated || !halts(node.skill) ? node : Object.freeze({ ...node, onFailure: 'halt' as const })
  })
  return makeGraph(filled, graph.file, graph.locate)
}

/** `nodes` are in topological order. */
function makeGraph(nodes: readonly GraphNode[], file: string, locate: Graph['locate']): Graph {
  const index = new Map(nodes.map((node, number) => [node.name, number]))
  const after = nodes.map((node) => node.after.map((name) => index.get(name) as number))
  const graph: Graph = Object.freeze({
    digest: digestOf(nodes),
    file,
    nodes: new Map(nodes.map((node) => [node.name, node])),
    locate,
  })
  plans.set(graph, { nodes: Object.freeze([...nodes]), index, after, dependents: reverse(after) })
  return graph
}

function reverse(after: readonly (readonly number[])[]): readonly (readonly number[])[] {
  const dependents: number[][] = after.map(() => [])
  after.forEach((list, node) => {
    for (const upstream of list) dependents[upstream]?.push(node)
  })
  return dependents
}

function digestOf(nodes: readonly GraphNode[]): string {
  const meaning = Object.fromEntries(
    nodes.map((node) => [
      node.name,
      {
        skill: node.skill,
        after: [...node.after].sort(),
        roles: [...node.roles].sort(),
        tool_scope: [...node.toolScope].sort(),
        on_failure: node.onFailure,
        critical: node.critical,
        execution_mode: node.executionMode,
        attempts: node.attempts,
        lifetime_ms: node.lifetimeMs,
        labels: { ...node.labels },
      },
    ]),
  )
  return `sha256:${sha256Hex(canonicalJson({ version: 1, nodes: meaning }))}`
}
