import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { type GraphNode, loadGraph, type ParsedGraph, parseGraph } from '../../src/halt/graph.ts'
import { HaltPropagator } from '../../src/halt/propagator.ts'
import { fuzzRuns } from '../support/fuzz.ts'

function codes(parsed: ParsedGraph): string[] {
  return parsed.ok ? ['ok'] : parsed.problems.map(({ code, pointer }) => `${code} ${pointer}`).sort()
}

function nodeOf(parsed: ParsedGraph, name: string): GraphNode {
  if (!parsed.ok) throw new Error(parsed.problems.map(({ message }) => message).join('\n'))
  const node = parsed.graph.nodes.get(name)
  if (node === undefined) throw new Error(`no node ${name}`)
  return node
}

describe('defaults and spellings', () => {
  test('an absent section means none, never all', () => {
    const node = nodeOf(parseGraph({ nodes: { a: { skill: 'web' } } }), 'a')
    expect(node).toEqual({
      name: 'a',
      skill: 'web',
      after: [],
      roles: [],
      toolScope: [],
      onFailure: 'skip_downstream',
      onFailureStated: false,
      critical: false,
      executionMode: 'shared',
      attempts: 1,
      lifetimeMs: 300_000,
      labels: {},
    })
  })

  const YAML = `
nodes:
  fetch:
    skill: web_search
    role: researcher
    tool_scope: ["pg_readonly"]
    critical: true
  report:
    skill: writer
    after: [fetch]
    roles: [author, reviewer]
    on_failure: halt
    execution_mode: ephemeral
    attempts: 3
    lifetime_ms: 5000
    labels: { team: data }
`
  const FROM_CODE = {
    nodes: {
      report: {
        labels: { team: 'data' },
        lifetimeMs: 5000,
        attempts: 3,
        executionMode: 'ephemeral',
        onFailure: 'halt',
        roles: ['reviewer', 'author'],
        after: ['fetch'],
        skill: 'writer',
      },
      fetch: { skill: 'web_search', role: 'researcher', toolScope: ['pg_readonly'], critical: true },
    },
  }

  test('file and code, in whatever order, are one graph with one digest', () => {
    const file = loadGraph({ file: 'graph.yaml', text: YAML })
    const code = parseGraph(FROM_CODE)
    if (!file.ok || !code.ok) throw new Error('refused')
    expect(file.graph.digest).toMatch(/^sha256:[0-9a-f]{64}$/)
    expect(code.graph.digest).toBe(file.graph.digest)
    expect([...code.graph.nodes.keys()]).toEqual(['fetch', 'report'])
    expect(nodeOf(file, 'fetch').onFailure).toBe('halt')
    expect(file.graph.locate('report')).toMatchObject({ line: 8 })
    expect(file.graph.locate('nothing')).toBeUndefined()
  })

  test.each([
    ['attempts', { attempts: 2 }],
    ['after', { after: ['b'] }],
    ['skill', { skill: 'other' }],
    ['toolScope', { toolScope: ['x'] }],
    ['onFailure', { onFailure: 'continue' }],
    ['executionMode', { executionMode: 'ephemeral' }],
    ['lifetimeMs', { lifetimeMs: 1 }],
    ['labels', { labels: { a: 'b' } }],
    ['role', { role: 'r' }],
  ])('%s is part of the digest', (_key, change) => {
    const plain = parseGraph({ nodes: { a: { skill: 's' }, b: { skill: 's' } } })
    const other = parseGraph({ nodes: { a: { skill: 's', ...change }, b: { skill: 's' } } })
    if (!plain.ok || !other.ok) throw new Error('refused')
    expect(other.graph.digest).not.toBe(plain.graph.digest)
  })

  test('JSON and TOML say the same', () => {
    const json = loadGraph({ file: 'g.json', text: '{"nodes":{"a":{"skill":"s","tool_scope":["t"]}}}' })
    const toml = loadGraph({ file: 'g.toml', text: '[nodes.a]\nskill = "s"\ntool_scope = ["t"]\n' })
    if (!json.ok || !toml.ok) throw new Error('refused')
    expect(toml.graph.digest).toBe(json.graph.digest)
  })
})

describe('what does not hold together', () => {
  const node = (more: object = {}): object => ({ skill: 's', ...more })

  test.each<[string, object, string[]]>([
    ['unknown dependency', { a: node({ after: ['zz'] }) }, ['unknown_reference /nodes/a/after/0']],
    ['self dependency', { a: node({ after: ['a'] }) }, ['cyclic_reference /nodes/a/after/0']],
    ['a dependency twice', { a: node(), b: node({ after: ['a', 'a'] }) }, ['duplicate_name /nodes/b/after/1']],
    ['a tool twice', { a: node({ toolScope: ['t', 't'] }) }, ['duplicate_name /nodes/a/toolScope/1']],
    [
      'critical that continues',
      { a: node({ critical: true, onFailure: 'continue' }) },
      ['contradiction /nodes/a/onFailure'],
    ],
    [
      'critical that skips',
      { a: node({ critical: true, onFailure: 'skip_downstream' }) },
      ['contradiction /nodes/a/onFailure'],
    ],
    ['critical that halts', { a: node({ critical: true, onFailure: 'halt' }) }, ['ok']],
    ['role and roles', { a: node({ role: 'x', roles: ['x'] }) }, ['contradiction /nodes/a/role']],
    ['bad node name', { 'a b': node() }, ['invalid_value /nodes/a b']],
    ['bad skill', { a: { skill: '../evil' } }, ['invalid_value /nodes/a/skill']],
    ['bad tool', { a: node({ toolScope: ['x y'] }) }, ['invalid_value /nodes/a/toolScope/0']],
    ['look-alike name', { a: node({ role: 'аdmin' }) }, ['invalid_value /nodes/a/role']],
    ['hidden text in a label', { a: node({ labels: { x: 'a\u202eb' } }) }, ['invalid_value /nodes/a/labels/x']],
    ['bad label name', { a: node({ labels: { 'x y': 'a' } }) }, ['invalid_value /nodes/a/labels/x y']],
    [
      'two things at once',
      { a: node({ after: ['q'] }), 'b!': node() },
      ['invalid_value /nodes/b!', 'unknown_reference /nodes/a/after/0'],
    ],
  ])('%s', (_name, nodes, expected) => {
    expect(codes(parseGraph({ nodes }))).toEqual(expected)
  })

  test.each<[string, object]>([
    ['attempts 0', { attempts: 0 }],
    ['attempts 11', { attempts: 11 }],
    ['attempts 1.5', { attempts: 1.5 }],
    ['lifetime 0', { lifetimeMs: 0 }],
    ['lifetime over an hour', { lifetimeMs: 3_600_001 }],
    ['a disposition that is none', { onFailure: 'retry' }],
    ['critical as text', { critical: 'true' }],
    ['a file spelling in code', { tool_scope: ['t'] }],
    ['a misspelt key', { critcal: true }],
    ['no skill', { skill: '' }],
    ['after as text', { after: 'a' }],
  ])('%s is refused', (_name, more) => {
    expect(parseGraph({ nodes: { a: node(more) } }).ok).toBe(false)
  })

  test('a code spelling in a file is an unknown key at its place', () => {
    const parsed = loadGraph({ file: 'g.yaml', text: 'nodes:\n  a:\n    skill: s\n    toolScope: [t]\n' })
    expect(parsed.ok ? [] : parsed.problems.map(({ code, line }) => [code, line])).toEqual([['unknown_key', 4]])
  })

  test('a node written twice in a file', () => {
    const parsed = loadGraph({ file: 'g.yaml', text: 'nodes:\n  a: { skill: s }\n  a: { skill: t }\n' })
    expect(parsed.ok ? [] : parsed.problems.map(({ code, line }) => [code, line])).toEqual([['duplicate_key', 3]])
  })

  test('a cycle is named by its nodes, in the order they wait', () => {
    const parsed = parseGraph({
      nodes: {
        start: node(),
        c: node({ after: ['b'] }),
        a: node({ after: ['c', 'start'] }),
        b: node({ after: ['a'] }),
        behind: node({ after: ['b'] }),
        x: node({ after: ['y'] }),
        y: node({ after: ['x'] }),
      },
    })
    expect(parsed.ok ? [] : parsed.problems.map(({ message }) => message)).toEqual([
      'these nodes wait for each other: c after b after a after c',
      'these nodes wait for each other: x after y after x',
    ])
  })

  test('a cycle through 10,000 nodes is one short line', () => {
    const nodes: Record<string, object> = {}
    for (let index = 0; index < 10_000; index++) nodes[`n${index}`] = node({ after: [`n${(index + 1) % 10_000}`] })
    const parsed = parseGraph({ nodes })
    if (parsed.ok) throw new Error('accepted')
    expect(parsed.problems).toHaveLength(1)
    expect(parsed.problems[0]?.message).toBe(
      'these nodes wait for each other: n0 after n1 after n2 after n3 after n4 after n5 after n6 after n7 after … (10000 nodes) after n0',
    )
  })

  test('problems are bounded', () => {
    const nodes: Record<string, object> = {}
    for (let index = 0; index < 5_000; index++) nodes[`n${index}`] = node({ after: ['missing'] })
    const parsed = parseGraph({ nodes })
    expect(parsed.ok ? 0 : parsed.problems.length).toBe(100)
  })
})

describe('size', () => {
  test('a chain of 10,000 nodes loads and runs to a skipped end; no recursion', () => {
    const nodes: Record<string, object> = {}
    for (let index = 9_999; index >= 0; index--)
      nodes[`n${index}`] = { skill: 's', after: index === 0 ? [] : [`n${index - 1}`] }
    const parsed = parseGraph({ nodes })
    if (!parsed.ok) throw new Error('refused')
    expect([...parsed.graph.nodes.keys()].slice(0, 3)).toEqual(['n0', 'n1', 'n2'])
    const scope = new HaltPropagator().open('run', parsed.graph)
    expect(scope.ready()).toEqual(['n0'])
    scope.admit('n0')
    const settled = scope.settle('n0', 1, 'denied')
    expect(settled.accepted && settled.skipped.length).toBe(9_999)
    expect(scope.close()).toMatchObject({ state: 'degraded', counts: { denied: 1, skipped: 9_999, pending: 0 } })
  })

  test('10,001 nodes are refused before they are looked at', () => {
    const nodes = Object.fromEntries(Array.from({ length: 10_001 }, (_, index) => [`n${index}`, 7]))
    expect(codes(parseGraph({ nodes }))).toEqual(['too_large /nodes'])
  })
})

describe('hostile values', () => {
  const throwing = new Proxy(
    {},
    {
      ownKeys: () => {
        throw new Error('boo')
      },
    },
  )
  const cyclic: Record<string, unknown> = {}
  cyclic['nodes'] = cyclic
  let reads = 0
  const changing = {
    get nodes() {
      reads += 1
      return { a: { skill: 's' } }
    },
  }

  test.each<[string, unknown]>([
    ['undefined', undefined],
    ['null', null],
    ['a number', 7],
    ['a list', []],
    ['text', 'nodes'],
    ['a function', () => undefined],
    ['a Map', new Map([['nodes', {}]])],
    ['nodes as a list', { nodes: [{ skill: 's' }] }],
    ['a proxy that throws', throwing],
    ['a node that is a proxy that throws', { nodes: { a: throwing } }],
    ['a getter', changing],
    ['a cyclic object', cyclic],
    ['a node that is null', { nodes: { a: null } }],
    ['a symbol', Symbol('x')],
    ['an own __proto__ key', { nodes: JSON.parse('{"__proto__":{"skill":"s"}}') }],
    ['__proto__ as a label', { nodes: { a: { skill: 's', labels: JSON.parse('{"__proto__":"x"}') } } }],
  ])('%s gives problems and never throws', (_name, value) => {
    const parsed = parseGraph(value)
    expect(parsed.ok).toBe(false)
    expect(parsed.ok ? 0 : parsed.problems.length).toBeGreaterThan(0)
    expect(reads).toBe(0)
  })

  test.each(['constructor', 'toString', 'valueOf', 'hasOwnProperty', 'isPrototypeOf'])(
    'a node may be called %s',
    (name) => {
      const parsed = parseGraph({
        nodes: { [name]: { skill: name, toolScope: [name] }, z: { skill: 's', after: [name] } },
      })
      if (!parsed.ok) throw new Error('refused')
      const scope = new HaltPropagator().open('run', parsed.graph)
      expect(scope.admit('z')).toMatchObject({ ok: false, code: 'node_not_ready' })
      expect(scope.admit(name)).toMatchObject({ ok: true })
      expect(scope.settle(name, 1, 'succeeded')).toMatchObject({ accepted: true })
      expect(scope.admit('z')).toMatchObject({ ok: true })
    },
  )

  test('names nobody defined are unknown, whatever objects inherit', () => {
    const parsed = parseGraph({ nodes: { a: { skill: 's' } } })
    if (!parsed.ok) throw new Error('refused')
    const scope = new HaltPropagator().open('run', parsed.graph)
    for (const name of ['constructor', '__proto__', 'toString', '']) {
      expect(scope.admit(name)).toMatchObject({ ok: false, code: 'node_unknown' })
      expect(scope.settle(name, 1, 'succeeded')).toEqual({ accepted: false, reason: 'node_unknown' })
      expect(scope.nodeState(name)).toBeUndefined()
    }
  })

  test('only a graph that was checked can be run, and altering it afterwards does nothing', () => {
    const forged = { digest: 'sha256:0', file: 'x', nodes: new Map(), locate: () => undefined }
    expect(() => new HaltPropagator().open('run', forged)).toThrow(TypeError)
    const parsed = parseGraph({ nodes: { a: { skill: 's' }, b: { skill: 's', after: ['a'] } } })
    if (!parsed.ok) throw new Error('refused')
    const scope = new HaltPropagator().open('run', parsed.graph)
    const nodes = parsed.graph.nodes as Map<string, GraphNode>
    nodes.set('b', { ...(nodes.get('b') as GraphNode), after: [], toolScope: ['rm'] })
    expect(scope.admit('b')).toMatchObject({ ok: false, code: 'node_not_ready' })
    expect(scope.node('b')?.toolScope).toEqual([])
  })

  test('whatever comes in, it is a graph or problems', () => {
    const anything = fc.anything({
      withNullPrototype: true,
      withMap: true,
      withSparseArray: true,
      withBigInt: true,
      withDate: true,
    })
    const nearly = fc.record({
      nodes: fc.dictionary(
        fc.constantFrom('a', 'b', '__proto__', 'x y'),
        fc.record({ skill: anything, after: anything, labels: anything }, { requiredKeys: [] }),
      ),
    })
    fc.assert(
      fc.property(fc.oneof(anything, nearly), (value) => {
        const parsed = parseGraph(value)
        if (!parsed.ok) expect(parsed.problems.length).toBeGreaterThan(0)
      }),
      { numRuns: fuzzRuns(300) },
    )
    const word = fc.constantFrom(
      'nodes',
      ':',
      '\n',
      '  ',
      'a',
      'skill',
      'after',
      '[',
      ']',
      '{',
      '}',
      '"',
      '=',
      '&x',
      '*x',
      '\t',
      '-',
      '__proto__',
      '\0',
    )
    fc.assert(
      fc.property(
        fc.array(word, { maxLength: 30 }),
        fc.constantFrom('yaml' as const, 'json' as const, 'toml' as const),
        (words, format) => {
          const parsed = loadGraph({ file: 'graph', format, text: words.join('') })
          if (!parsed.ok) expect(parsed.problems.length).toBeGreaterThan(0)
        },
      ),
      { numRuns: fuzzRuns(300) },
    )
  })

  test('a source that is no text is misuse', () => {
    expect(() => loadGraph({ file: 'g.json', text: 7 as unknown as string })).toThrow(TypeError)
  })
})
