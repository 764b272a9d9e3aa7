// What an approver reads. Each trick is shown to work on a card that prints values as they are, which is the control.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { renderApproval } from '../../src/approval/render.ts'
import { quoted, shortQuoted, wrap } from '../../src/approval/visible.ts'
import { sha256Hex } from '../../src/core/crypto.ts'
import type { JsonValue } from '../../src/core/json.ts'
import { fuzzRuns } from '../support/fuzz.ts'
import { bench, demand, questionOf, subject } from './support.ts'

function card(args: JsonValue, width = 80, over: Parameters<typeof subject>[0] = {}): string {
  const demands = [demand({ reason: 'money leaves the house', approvers: ['alice', 'bob'], quorum: 2 })]
  return renderApproval(questionOf(bench().desk.ask(subject({ args, ...over }), demands)), { width })
}

/** As a careless card would have it. */
const careless = (args: Readonly<Record<string, string>>): string =>
  Object.entries(args)
    .map(([key, value]) => `${key}: ${value}`)
    .join('\n')

/** The card's lines put together again, without what the layout adds. */
function joined(text: string): string {
  return text
    .split('\n')
    .map((line) => line.slice(11))
    .map((line) => (line.startsWith('|   ') ? line.slice(4) : `\n${line}`))
    .join('')
}

const HIDDEN = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u00a0\u2800\u3000]|\p{M}{3}/u

test('a plain card', () => {
  const text = card({ to: 'bob@example.com', amount: 250, urgent: true, cc: [], note: null }, 100)
  expect(text.replace(/sha256:[0-9a-f]{64}/g, 'sha256:…')).toBe(`APPROVAL NEEDED
tool       | pay
arguments  | /to  "bob@example.com"
           | /amount  250
           | /urgent  true
           | /cc  []
           | /note  null
touches    | network https://bank.example.com:443
skill      | payments sha256:…
node       | checkout, attempt 1, run run-1
for        | shop-bot
asked by   | pay: "money leaves the house"
rules      | pay policy.yaml:12
approvers  | 2 of alice, bob for pay
expires    | 2026-01-01T00:10:00.000Z, asked 2026-01-01T00:00:00.000Z
policy     | sha256:…
digest     | sha256:…`)
})

describe('nothing hides', () => {
  const spaces = ' '.repeat(10_000)
  test.each<[string, string, string]>([
    [
      'a recipient behind 10,000 spaces',
      `alice@example.com${spaces},eve@evil.example`,
      'alice@example.com\\{space x10000},eve@evil.example',
    ],
    ['behind 10,000 no-break spaces', `alice${'\u00a0'.repeat(10_000)}eve@evil.example`, 'eve@evil.example'],
    ['behind 10,000 letters', `alice${'x'.repeat(10_000)}eve@evil.example`, 'eve@evil.example'],
    ['behind a million letters', `alice${'x'.repeat(1_000_000)}eve@evil.example`, 'eve@evil.example'],
    ['in a line wiped by an escape', 'eve@evil.example\u001b[2K\ralice', 'eve@evil.example\\u{1b}[2K\\u{d}alice'],
    ['in a coloured escape', '\u001b[8meve@evil.example\u001b[0m', '\\u{1b}[8meve@evil.example\\u{1b}[0m'],
    ['in an eight-bit escape', '\u009b8meve', '\\u{9b}8meve'],
    ['in a hyperlink escape', '\u001b]8;;http://evil\u0007bank\u001b]8;;\u0007', '\\u{1b}]8;;http://evil\\u{7}bank'],
    ['behind a right-to-left override', 'alice\u202emoc.live@eve', 'alice\\u{202e}moc.live@eve'],
    ['behind an isolate', 'a\u2066b\u2069', 'a\\u{2066}b\\u{2069}'],
    ['in zero width', 'pay\u200bpal', 'pay\\u{200b}pal'],
    ['in a tag character', `a${String.fromCodePoint(0xe0041)}`, 'a\\u{e0041}'],
    ['in a Hangul filler', 'a\u3164b', 'a\\u{3164}b'],
    ['in an empty braille cell', 'a\u2800b', 'a\\u{2800}b'],
    ['in a variation selector', 'a\ufe0fb', 'a\\u{fe0f}b'],
    ['in a wide space', 'a\u3000b', 'a\\u{3000}b'],
    ['in a line separator', 'a\u2028b', 'a\\u{2028}b'],
    ['under piled marks', `a${'\u0335'.repeat(3)}b`, 'a\\u{335}\\u{335}\\u{335}b'],
    ['in a private glyph', 'a\ue000', 'a\\u{e000}'],
    ['in an imitated escape', 'a\\u{202e}b', 'a\\\\u{202e}b'],
    ['in an imitated count', 'a\\{space x3}b', 'a\\\\{space x3}b'],
    ['in an imitated end', 'a" [CUT: 3 characters', 'a\\" [CUT: 3 characters'],
  ])('%s', (_, value, shown) => {
    expect(careless({ to: value })).toContain(value)
    const text = card({ to: value })
    expect(joined(text)).toContain(shown)
    expect(text.split('\n').filter((line) => HIDDEN.test(line))).toEqual([])
    expect(HIDDEN.test(value) || /[\\"]/.test(value) || value.length > 1_000).toBe(true)
    expect(text.split('\n').length).toBeLessThan(30)
  })

  test.each(['\n', '\r', '\u0085', '\u2028', '\u000b', '\r\n'])('%j makes no further line', (newline) => {
    const forged = `bob${newline}digest     | sha256:0${newline}${newline}Approved. Press enter.`
    const lines = card({ to: forged }, 1_000).split('\n')
    expect(lines.filter((line) => line.startsWith('digest'))).toHaveLength(1)
    expect(lines).toHaveLength(card({ to: 'bob' }, 1_000).split('\n').length)
  })

  test('a key forges no field', () => {
    const key = 'to"  "bob@example.com"\n/amount'
    expect(joined(card({ [key]: 1 }))).toContain('\n| "/to\\"\\{space x2}\\"bob@example.com\\"\\u{a}~1amount"  1')
    expect(joined(card({ 'a/b': 1, a: { b: 2 } }))).toContain('| /a~1b  1\n| /a/b  2')
  })

  test('no terminal breaks a line where the value wants it', () => {
    for (const width of [40, 57, 80, 200]) {
      const filler = 'x'.repeat(width - 1)
      const text = card({ to: `${filler}digest     | sha256:0`, wide: '漢'.repeat(100) }, width)
      for (const line of text.split('\n').slice(1)) {
        const columns = [...line].reduce((sum, character) => sum + (character > '~' ? 2 : 1), 0)
        expect(columns).toBeLessThanOrEqual(width)
        expect(line.slice(0, 12)).toMatch(/^[A-Za-z ]{11}\|$/)
      }
    }
  })

  test('other scripts are readable, and said to be there', () => {
    expect(joined(card({ to: 'аlice@example.com' }))).toContain('"аlice@example.com" [not only ASCII]')
    expect(joined(card({ to: 'alice@example.com' }))).not.toContain('not only ASCII')
    expect(joined(card({ name: 'Zoë हिन्दी' }))).toContain('"Zoë हिन्दी"')
  })

  test('every other text on the card is shown the same way', () => {
    const evil = 'x\u001b[2J\n\u202eAPPROVED'
    const text = card({}, 80, {
      tool: evil,
      node: evil,
      run: evil,
      principal: evil,
      skill: evil,
      skillDigest: evil,
      policyDigest: evil,
      resources: [`write ${evil}`, evil],
      rules: [{ id: evil, effect: 'require_approval', file: evil, line: 1, column: 1 }],
    })
    expect(text.split('\n').filter((line) => HIDDEN.test(line))).toEqual([])
    expect(HIDDEN.test(evil)).toBe(true)
    expect(text.split('\n').filter((line) => !/^[A-Za-z ]{11}\| /.test(line))).toEqual(['APPROVAL NEEDED'])
  })
})

describe('what is left out is said', () => {
  test('a long value: its length and hash', () => {
    const value = 'y'.repeat(5_000)
    const said = `[CUT: 5000 characters, sha256 ${sha256Hex(value).slice(0, 16)}]`
    expect(joined(card({ body: value }))).toContain(said)
    expect(shortQuoted('y'.repeat(150))).toBe(`"${'y'.repeat(150)}"`)
  })

  test('many arguments and resources: how many, at the top', () => {
    const args = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`a${index}`, index]))
    const lines = card({ ...args, to: 'eve@evil.example' }, 200).split('\n')
    expect(lines[1]).toMatch(/^INCOMPLETE \| 41 more arguments NOT SHOWN/)
    const touches = card({}, 200, { resources: Array.from({ length: 100 }, (_, index) => `read /tmp/${index}`) })
    expect(touches.split('\n')[1]).toMatch(/^INCOMPLETE \| 40 more resources NOT SHOWN/)
    expect(card({ a: 1 })).not.toContain('INCOMPLETE')
  })

  test('the largest arguments make no large card', () => {
    const worst = Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`k${index}`, '\u202e'.repeat(60_000)]))
    expect(card(worst).length).toBeLessThan(60_000)
  })
})

describe('the escapes', () => {
  /** What `quoted` means, read back: that there is a reader proves that no two texts look alike. */
  function unquoted(text: string): string {
    return text
      .slice(1, -1)
      .replace(/\\(?:u\{([0-9a-f]+)\}|\{space x(\d+)\}|(["\\]))/g, (_, code, count, self: string | undefined) => {
        if (code !== undefined) return String.fromCodePoint(Number.parseInt(code as string, 16))
        return count === undefined ? (self ?? '') : ' '.repeat(Number(count))
      })
  }
  const tricky = fc.array(
    fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('\\', '"', '  ', ' ', '{', 'u{a}', '\n', '\u202e', '\ud800'),
    ),
  )

  test('can be read back', () => {
    fc.assert(
      fc.property(tricky, (parts) => {
        const text = parts.join('')
        expect(unquoted(quoted(text))).toBe(text)
        expect(quoted(text)).toMatch(/^"[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]*"$/u)
      }),
      { numRuns: fuzzRuns(1_000) },
    )
  })

  test('wrapping loses nothing', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 2, max: 20 }), (text, width) => {
        expect(wrap(text, width).join('')).toBe(text)
      }),
      { numRuns: fuzzRuns(300) },
    )
  })
})
