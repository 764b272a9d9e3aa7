// docs/audit-format.md and the tables in the code say the same, both ways, and its recipes work.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { hashRecord } from '../../src/audit/chain.ts'
import { commitArguments } from '../../src/audit/commit.ts'
import { AUDIT_EVENTS, type AuditEventKind } from '../../src/audit/event.ts'
import { AUDIT_FAULTS } from '../../src/audit/fault.ts'
import { AUDIT_FIELDS, type AuditFieldName } from '../../src/audit/field.ts'
import { readRecord } from '../../src/audit/record.ts'
import { verifyAuditLog } from '../../src/audit/verify.ts'
import { sampleSink } from './sample.ts'

const PAGE = readFileSync(new URL('../../docs/audit-format.md', import.meta.url), 'utf8')

/** Cells of the table that begins with this header line. */
function table(header: string): string[][] {
  const start = PAGE.indexOf(`${header}\n`)
  expect(start, header).toBeGreaterThan(0)
  const rows = PAGE.slice(start).split('\n\n')[0]?.split('\n').slice(2) ?? []
  return rows
    .filter((row) => row !== '')
    .map((row) =>
      row
        .slice(2, -2)
        .split(' | ')
        .map((cell) => cell.trim()),
    )
}

function keysOf(names: readonly AuditFieldName[]): string {
  const inOrder = (Object.keys(AUDIT_FIELDS) as AuditFieldName[]).filter((name) => names.includes(name))
  return inOrder.map((name) => `\`${AUDIT_FIELDS[name].key}\``).join(' ')
}

describe('the page and the code', () => {
  test('list the same types with the same fields', () => {
    const expected = (Object.entries(AUDIT_EVENTS) as [string, AuditEventKind][]).map(([type, event]) => {
      const needs = event.decision === undefined ? event.needs : [...event.needs, 'decision' as const]
      return [`\`${type}\``, event.meaning, keysOf(needs), keysOf(event.may)]
    })
    expect(table('| type | says | must have | may have |')).toEqual(expected)
  })

  test('list the same fields in the same order', () => {
    const expected = Object.values(AUDIT_FIELDS).map(({ key, kind, meaning }) => [`\`${key}\``, kind, meaning])
    expect(table('| field | kind | meaning |')).toEqual(expected)
  })

  test('list the same faults', () => {
    const expected = Object.entries(AUDIT_FAULTS).map(([kind, says]) => [`\`${kind}\``, says])
    expect(table('| kind | says |')).toEqual(expected)
  })

  test('every field belongs to some type', () => {
    const used = new Set<string>(
      (Object.values(AUDIT_EVENTS) as AuditEventKind[]).flatMap(({ needs, may }) => [...needs, ...may]),
    )
    expect(Object.keys(AUDIT_FIELDS).filter((name) => !used.has(name))).toEqual(['decision'])
  })

  test('the record shown is one', () => {
    const line = /```json record\n(.*)\n/.exec(PAGE)?.[1] ?? ''
    expect(readRecord(line).ok).toBe(true)
  })
})

const tools = ['sh', 'jq', 'sha256sum', 'openssl'].filter((tool) => spawnSync('which', [tool]).status !== 0)
// biome-ignore lint/suspicious/noConsole: what was not tested must be seen
if (tools.length > 0) console.warn(`SKIPPED: the recipes need ${tools.join(', ')}`)

describe.skipIf(tools.length > 0)('the recipes', () => {
  const directory = mkdtempSync(join(tmpdir(), 'agentport-recipe-'))
  afterAll(() => rmSync(directory, { recursive: true, force: true }))
  const recipes = [...PAGE.matchAll(/```sh\n([^`]*)```/g)].map((match) => match[1] ?? '')

  function run(mark: string, log: string): string {
    writeFileSync(join(directory, 'audit.jsonl'), log)
    const recipe = recipes.find((text) => text.includes(mark)) ?? ''
    return spawnSync('sh', ['-c', recipe], { cwd: directory, encoding: 'utf8' }).stdout.trim()
  }

  const { lines } = sampleSink(8)
  const text = `${lines.join('\n')}\n`

  test('walk the chain to the same head', () => {
    const { head } = verifyAuditLog(text)
    expect(run('while IFS', text)).toBe(`8 records, head ${head.seq}:${head.hash}`)
  })

  test('find a change, a hole and a torn line', () => {
    expect(run('while IFS', text.replace('tool_3', 'tool_X'))).toBe('line 5 breaks the chain')
    expect(run('while IFS', text.replace(`${lines[4]}\n`, ''))).toBe('line 5 breaks the chain')
    expect(run('while IFS', `${text}{"v"`)).toContain('the last line is torn')
  })

  test('hash one line', () => {
    expect(run('openssl', text)).toContain(hashRecord(lines[0] ?? ''))
  })

  test('check a commitment', () => {
    const { salt, digest } = commitArguments('{"q":"é"}')
    const { stdout } = spawnSync('sh', ['-c', `printf '%s%s' '${salt}' '{"q":"é"}' | sha256sum`], { encoding: 'utf8' })
    expect(stdout).toContain(digest)
  })
})
