// `agentport test` as an operator and a build server meet it: what it runs, what it prints, and the exit code.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { junitXml } from '../../src/cli/junit.ts'
import { run } from '../../src/cli/main.ts'
import { fuzzRuns } from '../support/fuzz.ts'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'agentport-test-'))
})

afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
})

function file(name: string, text: string): string {
  const path = join(directory, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  return path
}

async function agentport(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = []
  const err: string[] = []
  const code = await run(['test', ...args], {
    out: (text) => out.push(text),
    err: (text) => err.push(text),
    color: false,
  })
  const plain = (lines: readonly string[]): string => lines.join('\n').replaceAll(directory, '.')
  return { code, out: plain(out), err: plain(err) }
}

const RULES = `version: 1
roles:
  reader: { nodes: [fetch] }
rules:
  - { id: read, effect: permit, roles: [reader], tools: [http_get], hosts: [example.com, "*.example.com"] }
  - { id: never, effect: forbid, roles: [reader], tools: [http_get], hosts: [admin.example.com], reason: not ours }
  - { id: write, effect: permit, roles: [reader], tools: [save], paths: { write: ["\${workspace}/**"] } }
  - { id: libraries, effect: permit, roles: [reader], tools: [save], libraries: [/usr/lib/**] }
`
const INLINE = `${RULES.replaceAll('${workspace}', '/srv')}tests:
  - name: reads pages
    request: { node: fetch, tool: http_get, resources: [{ url: "https://example.com/" }] }
    expect: allow
  - name: not the admin pages
    request: { node: fetch, tool: http_get, resources: [{ url: "https://admin.example.com/" }] }
    expect: { decision: deny, code: forbidden, rules: [never] }
`
const SEPARATE = `policies: [shop.policy.yaml]
variables: { workspace: /srv/w }
tests:
  - name: writes reports
    request: { node: fetch, tool: save, resources: [{ path: "\${workspace}/a", access: write }] }
    expect: { decision: allow, rules: [write] }
`

describe('running', () => {
  test('tests in the policy itself', async () => {
    const path = file('policy.yaml', INLINE)
    expect(await agentport(path)).toEqual({ code: 0, out: '✓ 2 passed, 0 failed', err: '' })
  })

  test('tests beside it, found by name, with variables of their own', async () => {
    file('shop.policy.yaml', RULES)
    file('tests/more.policy.test.yaml', SEPARATE.replace('[shop', '[../shop'))
    expect(await agentport(directory)).toEqual({ code: 0, out: '✓ 1 passed, 0 failed', err: '' })
  })

  test('a file of any name that lists policies', async () => {
    file('shop.policy.yaml', RULES)
    expect(await agentport(file('cases.yaml', SEPARATE))).toMatchObject({ code: 0, out: '✓ 1 passed, 0 failed' })
  })

  test('the command line has the last word about variables', async () => {
    file('shop.policy.yaml', RULES)
    const path = file('shop.policy.test.yaml', SEPARATE.replace('"${workspace}/a"', '/elsewhere/a'))
    expect((await agentport(path)).code).toBe(1)
    expect(await agentport(path, '--var', 'workspace=/elsewhere')).toMatchObject({ code: 0 })
  })

  test('all policies are one set, and those without tests need not be', async () => {
    file('a.policy.yaml', INLINE)
    file('b.policy.yaml', 'version: 1\nrules:\n  - { id: all, effect: forbid, roles: ["*"], tools: ["*"] }\n')
    expect(await agentport(directory)).toMatchObject({ code: 1, out: '✗ 0 passed, 2 failed' })
    rmSync(join(directory, 'a.policy.yaml'))
    file('shop.policy.yaml', RULES)
    file('twin.policy.yaml', RULES)
    file('shop.policy.test.yaml', SEPARATE)
    expect(await agentport(directory)).toMatchObject({ code: 0, out: '✓ 1 passed, 0 failed' })
  })

  test('a failure: place, expected, actual, and what the operator needs', async () => {
    const path = file('policy.yaml', INLINE.replace('expect: allow', 'expect: { decision: deny, code: forbidden }'))
    const { code, out, err } = await agentport(path)
    expect(code).toBe(1)
    expect(out).toBe('✗ 1 passed, 1 failed')
    expect(err).toBe(`✗ ./policy.yaml:10:5: reads pages
    expected: deny forbidden
    actual:   allow [read]
    expected deny, and it is allow
    expected the code forbidden
    allow by rule read`)
  })

  test('a denial that was not expected is explained', async () => {
    const path = file('policy.yaml', INLINE.replace('code: forbidden, rules: [never]', 'code: no_matching_permit'))
    const { err } = await agentport(path)
    expect(err).toContain('actual:   deny forbidden [never]')
    expect(err).toContain('rule: never (forbid) ./policy.yaml:6:5 — not ours')
    expect(err).toContain('recoverable: never')
  })

  test('--filter', async () => {
    const path = file('policy.yaml', INLINE.replace('expect: allow', 'expect: deny'))
    expect(await agentport(path, '--filter', 'admin')).toMatchObject({ code: 0, out: '✓ 1 passed, 0 failed' })
    const none = await agentport(path, '--filter', 'nothing has this')
    expect(none).toMatchObject({ code: 1, err: 'agentport test: no test has "nothing has this" in its name' })
  })

  test('--json', async () => {
    const { code, out } = await agentport(
      file('policy.yaml', INLINE.replace('expect: allow', 'expect: deny')),
      '--json',
    )
    expect(code).toBe(1)
    const parsed = JSON.parse(out) as { tests: readonly object[] }
    expect(parsed).toMatchObject({ ok: false, passed: 1, failed: 1, problems: [] })
    expect(parsed.tests[0]).toMatchObject({
      name: 'reads pages',
      file: './policy.yaml',
      line: 10,
      column: 5,
      passed: false,
      expected: 'deny',
      actual: 'allow [read]',
    })
    expect(parsed.tests[1]).not.toHaveProperty('message')
  })
})

describe('no test that was not run is a success', () => {
  test('no tests at all', async () => {
    const none = {
      code: 1,
      out: '✗ 0 passed, 0 failed',
      err: expect.stringMatching(/^agentport test: there are no tests: /),
    }
    expect(await agentport(file('policy.yaml', RULES.replaceAll('${workspace}', '/srv')))).toEqual(none)
    expect(await agentport(file('other/policy.yaml', 'version: 1\nrules: []\ntests: []\n'))).toEqual(none)
    expect(await agentport(directory)).toEqual(none)
  })

  test('a policy with a mistake', async () => {
    const { code, out, err } = await agentport(file('policy.yaml', INLINE.replace('forbid,', 'forbidd,')))
    expect(code).toBe(1)
    expect(out).toBe('✗ 0 passed, 0 failed, 1 problem')
    expect(err).toMatch(/^\.\/policy\.yaml:6:26: error invalid_value: /)
  })

  test('a policy that is not well-formed beside one that is tested', async () => {
    file('policy.yaml', INLINE)
    file('b/policy.yaml', 'version: [')
    expect(await agentport(directory)).toMatchObject({ code: 1, out: '✗ 0 passed, 0 failed, 1 problem' })
  })

  test('a test with a mistake stops the tests of its file, not of others', async () => {
    file('shop.policy.yaml', RULES)
    file('a.policy.test.yaml', SEPARATE)
    file('b.policy.test.yaml', SEPARATE.replace('expect:', 'expekt:'))
    const { code, out, err } = await agentport(directory)
    expect({ code, out }).toEqual({ code: 1, out: '✗ 1 passed, 0 failed, 2 problems' })
    expect(err).toContain('./b.policy.test.yaml:6:5: error unknown_key: unknown key "expekt"')
    expect(err).toContain('fix: did you mean "expect"?')
  })

  test('a policy that is not there', async () => {
    const { code, err } = await agentport(file('a.policy.test.yaml', SEPARATE))
    expect(code).toBe(1)
    expect(err).toMatch(/^\.\/a\.policy\.test\.yaml:1:12: error unknown_reference: cannot read \.\/shop\.policy\.yaml/)
  })

  test('a variable nobody gives', async () => {
    file('shop.policy.yaml', RULES)
    const { code, err } = await agentport(file('a.policy.test.yaml', SEPARATE.replace(/variables.*\n/, '')))
    expect(code).toBe(1)
    expect(err).toContain('workspace')
  })

  test('a directory of tests', async () => {
    file('shop.policy.yaml', RULES)
    file('tests/a.policy.test.yaml', SEPARATE.replace('[shop', '[../shop').replace('allow', 'deny'))
    expect((await agentport(join(directory, 'tests'))).code).toBe(1)
  })

  test.each([
    [[], 'name the files or directories to test'],
    [['/nowhere/at/all'], 'there is no /nowhere/at/all'],
    [['.', '--min-coverage', '101'], '--min-coverage is 0 to 100'],
    [['.', '--min-coverage', 'x'], '--min-coverage is 0 to 100'],
    [['.', '--min-coverage', ''], '--min-coverage is 0 to 100'],
    [['.', '--nothing'], "Unknown option '--nothing'"],
  ])('usage: %j', async (args, message) => {
    const { code, err } = await agentport(...args)
    expect(code).toBe(2)
    expect(err).toContain(message)
  })
})

test('a variable that only a test of the policy uses', async () => {
  const path = file('policy.yaml', INLINE.replace('https://example.com/', 'https://${host}/'))
  expect((await agentport(path)).code).toBe(1)
  expect(await agentport(path, '--var', 'host=example.com')).toMatchObject({ code: 0 })
})

describe('coverage', () => {
  test('what was reached and what was not; what is about processes alone does not count', async () => {
    const { code, out } = await agentport(file('policy.yaml', INLINE), '--coverage')
    expect(code).toBe(0)
    expect(out).toBe(
      'coverage: 2 of 3 (66.6 %)\n  never matched: ./policy.yaml:7:5 write (permit)\n✓ 2 passed, 0 failed',
    )
  })

  test('a rule that another one beats', async () => {
    const text = INLINE.replace(/ {2}- name: reads pages\n.*\n.*\n/, '')
    const { out } = await agentport(file('policy.yaml', text), '--coverage')
    expect(out).toContain('coverage: 2 of 3 (66.6 %)\n  matched, never decided: ./policy.yaml:5:5 read (permit)')
  })

  test('limits and obligations', async () => {
    const text = `${INLINE}limits:
  - { id: often, roles: [reader], tools: [http_get], kind: rate, max: 5, per: 1m, by: [node] }
  - { id: seldom, roles: [reader], tools: [save], kind: rate, max: 5, per: 1m, by: [node] }
obligations:
  - { id: hide, roles: [reader], tools: [http_get], redact: { on: [result], secrets: true } }
`
    const { out } = await agentport(file('policy.yaml', text), '--coverage')
    expect(out).toContain('coverage: 4 of 6 (66.6 %)')
    expect(out).toContain('never matched: ./policy.yaml:18:5 seldom (limit)')
  })

  test('over all sets, and each policy once whatever it is called', async () => {
    file('shop.policy.yaml', INLINE.replaceAll('/srv', '${workspace}'))
    file('sub/more.policy.test.yaml', SEPARATE.replace('[shop', '[../shop'))
    const { out } = await agentport(directory, '--coverage', '--var', 'workspace=/srv/w')
    expect(out).toBe('coverage: 3 of 3 (100 %)\n✓ 3 passed, 0 failed')
  })

  test('--min-coverage', async () => {
    const path = file('policy.yaml', INLINE)
    expect(await agentport(path, '--min-coverage', '66.6')).toMatchObject({ code: 0 })
    expect(await agentport(path, '--min-coverage', '67')).toMatchObject({
      code: 1,
      err: 'agentport test: coverage is 66.6 %, and has to be 67 %',
    })
    const json = await agentport(path, '--min-coverage', '100', '--json')
    expect(JSON.parse(json.out)).toMatchObject({ ok: false, failed: 0, coverage: { covered: 2 } })
  })
})

describe('JUnit', () => {
  test('a file with a pass, a failure and a problem', async () => {
    file(
      'policy.yaml',
      INLINE.replace('name: reads pages', 'name: "<reads> & \\"pages\\""').replace('expect: allow', 'expect: deny'),
    )
    file('b.policy.test.yaml', 'policies: [nowhere.yaml]\ntests: []\n')
    const report = join(directory, 'report.xml')
    expect((await agentport(directory, '--junit', report)).code).toBe(1)
    const nowhere = join(directory, 'nowhere', 'report.xml')
    expect(await agentport(directory, '--junit', nowhere)).toMatchObject({
      code: 2,
      out: expect.stringContaining('1 failed'),
    })
    const xml = parseXml(readFileSync(report, 'utf8'))
    expect(xml.name).toBe('testsuites')
    expect(xml.attributes).toMatchObject({ tests: '3', failures: '1', errors: '1' })
    const [inline, other] = xml.children
    expect(inline?.attributes).toMatchObject({ tests: '2', failures: '1', errors: '0' })
    expect(inline?.children[0]?.attributes).toMatchObject({ name: '<reads> & "pages"', line: '10' })
    expect(inline?.children[0]?.children[0]).toMatchObject({
      name: 'failure',
      attributes: { message: 'expected deny, got allow [read]' },
    })
    expect(inline?.children[1]?.children).toEqual([])
    expect(other?.children[0]?.children[0]).toMatchObject({ name: 'error', attributes: { type: 'unknown_reference' } })
  })

  test('well-formed whatever stands in it, and nothing is lost that XML can hold', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 20 }),
      fc.string({ unit: fc.constantFrom(...'<>&"\' \t\n\r]]>\0\x1b\x7f\ufffe\uffff\ud800a'), maxLength: 20 }),
    )
    fc.assert(
      fc.property(text, text, text, (name, path, detail) => {
        const failing = { name, file: path, line: 1, failure: { summary: detail, detail } }
        const root = parseXml(junitXml([{ name: path, cases: [failing, { name, file: path, line: 2 }], problems: [] }]))
        const one = root.children[0]?.children[0]
        expect(root.children[0]?.children).toHaveLength(2)
        expect(one?.attributes['name']).toBe(visible(name))
        expect(one?.children[0]?.attributes['message']).toBe(visible(detail))
        // XML makes every line break one (§2.11).
        expect(one?.children[0]?.text).toBe(visible(detail).replace(/\r\n?/g, '\n'))
      }),
      { numRuns: fuzzRuns(500) },
    )
  })

  test('control: the checker refuses what is not well-formed', () => {
    for (const bad of [
      '<a',
      '<a>',
      '<a></b>',
      '<a x=1/>',
      '<a x="<"/>',
      '<a>&</a>',
      '<a>&nope;</a>',
      '<a>\u0000</a>',
      '<a/><b/>',
      '<a>]]></a>',
      '<a x="1" x="2"/>',
    ]) {
      expect(() => parseXml(bad), bad).toThrow()
    }
  })
})

/** What becomes of characters that XML 1.0 does not have. */
function visible(text: string): string {
  return [...text]
    .map((character) => {
      const code = character.codePointAt(0) ?? 0
      const fine =
        [9, 10, 13].includes(code) ||
        (code >= 0x20 && code < 0xd800) ||
        (code >= 0xe000 && code <= 0xfffd) ||
        code > 0xffff
      return fine ? character : `\\u{${code.toString(16)}}`
    })
    .join('')
}

interface Element {
  readonly name: string
  readonly attributes: Record<string, string>
  readonly children: Element[]
  text: string
}

/** As much of XML 1.0 as reports need, and strict about it. */
function parseXml(xml: string): Element {
  if (
    /[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(
      xml,
    )
  ) {
    throw new Error('a character that XML does not have')
  }
  const text = xml.replace(/^<\?xml version="1\.0" encoding="UTF-8"\?>\n/, '').replace(/\r\n?/g, '\n')
  const token = /<(\/?)([A-Za-z]+)((?:\s+[a-z]+="[^"<]*")*)\s*(\/?)>|([^<]+)/y
  const top: Element = { name: '', attributes: {}, children: [], text: '' }
  const open = [top]
  while (token.lastIndex < text.length) {
    const at = token.lastIndex
    const match = token.exec(text)
    if (match === null) throw new Error(`not well-formed at ${at}`)
    const [, end, name = '', attributes = '', empty, characters] = match
    const current = open.at(-1)
    if (current === undefined) throw new Error('nothing is open')
    if (characters !== undefined) {
      if (characters.includes(']]>')) throw new Error(']]> in text')
      current.text += unescapeXml(characters)
    } else if (end === '/') {
      if (current.name !== name || open.length === 1) throw new Error(`</${name}> closes ${current.name}`)
      open.pop()
    } else {
      const element: Element = { name, attributes: {}, children: [], text: '' }
      for (const [, key = '', value = ''] of attributes.matchAll(/([a-z]+)="([^"]*)"/g)) {
        if (Object.hasOwn(element.attributes, key)) throw new Error(`${key} stands twice`)
        // White space in an attribute becomes a space (§3.3.3).
        element.attributes[key] = unescapeXml(value.replace(/[\t\n]/g, ' '))
      }
      current.children.push(element)
      if (empty !== '/') open.push(element)
    }
  }
  const [root] = top.children
  if (open.length !== 1 || root === undefined || top.children.length !== 1) throw new Error('not one element')
  return root
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

function unescapeXml(text: string): string {
  return text.replace(/&([^;&]*)(;?)/g, (_, name: string, end: string) => {
    const number = /^#([0-9]+)$/.exec(name)?.[1]
    const character = number === undefined ? ENTITIES[name] : String.fromCodePoint(Number(number))
    if (character === undefined || end !== ';') throw new Error(`&${name} is no entity`)
    return character
  })
}
