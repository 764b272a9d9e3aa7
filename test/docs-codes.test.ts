// Codes and their pages say the same, both ways.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'

import { DENIALS } from '../src/core/denial.ts'
import { ERROR_CODES } from '../src/core/errors.ts'
import { PROBLEM_CODES } from '../src/core/problem.ts'

const page = (name: string): string => readFileSync(new URL(`../docs/${name}`, import.meta.url), 'utf8')

/** Rows of all tables under the headings of a page: first cell a code. */
function rows(text: string): { heading: string; cells: string[] }[] {
  let heading = ''
  const found: { heading: string; cells: string[] }[] = []
  for (const line of text.split('\n')) {
    if (line.startsWith('## ')) heading = line.slice(3).trim()
    if (!line.startsWith('| `')) continue
    found.push({
      heading,
      cells: line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    })
  }
  return found
}

describe('docs/denials.md', () => {
  const documented = rows(page('denials.md')).filter(({ heading }) => heading !== '')

  test('lists exactly the denial codes', () => {
    expect(documented.map(({ cells }) => cells[0]?.replaceAll('`', '')).sort()).toEqual(Object.keys(DENIALS).sort())
  })

  test.each(documented.map(({ heading, cells }) => [cells[0]?.replaceAll('`', '') ?? '', heading, cells] as const))(
    '%s stands under its layer and says how recoverable it is',
    (code, heading, cells) => {
      const kind = DENIALS[code as keyof typeof DENIALS]
      expect(heading.toLowerCase()).toBe(kind.layer)
      expect(cells[1]).toBe(kind.recoverable)
      expect(cells[2]?.length).toBeGreaterThan(15)
      expect(cells[3]?.length).toBeGreaterThan(5)
    },
  )
})

describe('docs/errors.md', () => {
  const documented = rows(page('errors.md'))
  const under = (heading: string): string[] =>
    documented.filter((row) => row.heading === heading).map(({ cells }) => cells[0]?.replaceAll('`', '') ?? '')

  test('lists exactly the error codes', () => {
    expect(under('Errors').sort()).toEqual(Object.keys(ERROR_CODES).sort())
  })

  test('lists exactly the problem codes', () => {
    expect(under('Problems').sort()).toEqual(Object.keys(PROBLEM_CODES).sort())
  })
})
