// The table and the example of docs/halt.md, run.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { loadGraph } from '../../src/halt/graph.ts'
import { HaltPropagator } from '../../src/halt/propagator.ts'
import { graphJsonSchema } from '../../src/halt/schema.ts'
import type { NodeOutcome } from '../../src/halt/state.ts'
import { start, statusOf } from './helpers.ts'

const page = readFileSync(new URL('../../docs/halt.md', import.meta.url), 'utf8')

function tableAfter(heading: string): string[][] {
  const lines = page.slice(page.indexOf(`\n## ${heading}\n`)).split('\n')
  const first = lines.findIndex((line) => line.startsWith('|'))
  const rows = lines.slice(first + 2)
  return rows
    .slice(
      0,
      rows.findIndex((line) => !line.startsWith('|')),
    )
    .map((row) =>
      row
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
}

/** `attempts: 3, critical` as lines of a YAML node. */
function nodeLines(says: string): string[] {
  return says
    .split(', ')
    .filter((part) => part !== '–' && part !== 'final')
    .map((part) => (part === 'critical' ? 'critical: true' : part))
}

describe('docs/halt.md', () => {
  const rows = tableAfter('What an outcome does')

  test('the table is there', () => {
    expect(rows.length).toBeGreaterThan(15)
  })

  test.each(rows)('%s with %s: %s', (outcome = '', says = '', disposition, node, below, beside, run) => {
    const text = ['nodes:', '  x:', '    skill: s', ...nodeLines(says).map((line) => `    ${line}`)]
    const rest = ['  below: { skill: s, after: [x] }', '  beside: { skill: s }']
    const parsed = loadGraph({ file: 'graph.yaml', text: [...text, ...rest, ''].join('\n') })
    if (!parsed.ok) throw new Error(parsed.problems.map(({ message }) => message).join('\n'))
    const scope = new HaltPropagator().open('run', parsed.graph)
    start(scope, 'x', 'beside')
    const settled = scope.settle('x', 1, outcome as NodeOutcome, { final: says.includes('final') })
    expect(settled).toMatchObject({ accepted: true, disposition })
    const spelled = (status: string | undefined): string | undefined => status?.replace(/:(.*)/, ' ($1)')
    const status = statusOf(scope)
    expect([spelled(status['x']), spelled(status['below']), spelled(status['beside']), scope.state]).toEqual([
      node,
      below,
      beside,
      run,
    ])
  })

  test('every key of a node is in the table of the graph, and no other', () => {
    const documented = tableAfter('The graph').flatMap(([cell = '']) =>
      [...cell.matchAll(/`([a-z_]+)`/g)].map((match) => match[1]),
    )
    const schema = graphJsonSchema() as { properties: { nodes: { additionalProperties: { properties: object } } } }
    expect(documented.sort()).toEqual(Object.keys(schema.properties.nodes.additionalProperties.properties).sort())
  })
})
