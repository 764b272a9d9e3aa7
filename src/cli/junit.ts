// Test results as the XML that build servers read (the JUnit format of Apache Ant, as Jenkins and GitLab document it). Texts
// from policies and requests go into it, so everything is escaped, and what XML 1.0 has no form for is made visible.

import type { Problem } from '../core/problem.ts'

export interface JunitCase {
  readonly name: string
  readonly file: string
  readonly line: number
  /** Absent: it passed. */
  readonly failure?: { readonly summary: string; readonly detail: string }
}

export interface JunitSuite {
  /** The file the tests stand in. */
  readonly name: string
  readonly cases: readonly JunitCase[]
  /** Why the tests of this file could not be run. */
  readonly problems: readonly Problem[]
}

export function junitXml(suites: readonly JunitSuite[]): string {
  const totals = suites.map(countsOf)
  const sum = (pick: (counts: Counts) => number): number => totals.reduce((all, counts) => all + pick(counts), 0)
  const head = attributes({
    name: 'agentport test',
    tests: sum(({ tests }) => tests),
    failures: sum(({ failures }) => failures),
    errors: sum(({ errors }) => errors),
  })
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites${head}>\n${suites.map(suiteXml).join('')}</testsuites>\n`
}

interface Counts {
  readonly tests: number
  readonly failures: number
  readonly errors: number
}

/** Some readers find `tests` too small when an error counts for none. */
function countsOf({ cases, problems }: JunitSuite): Counts {
  const failures = cases.filter(({ failure }) => failure !== undefined).length
  return { tests: cases.length + problems.length, failures, errors: problems.length }
}

function suiteXml(suite: JunitSuite): string {
  const cases = suite.cases.map(({ name, file, line, failure }) => {
    const head = attributes({ name, classname: suite.name, file, line })
    if (failure === undefined) return `    <testcase${head}/>\n`
    const { summary, detail } = failure
    return `    <testcase${head}>\n      <failure${attributes({ type: 'verdict', message: summary })}>${escapeXml(detail)}</failure>\n    </testcase>\n`
  })
  const errors = suite.problems.map(({ code, message, file, line, frame, hint }) => {
    const head = attributes({ name: `${code} on line ${line}`, classname: suite.name, file, line })
    const detail = [frame, hint].filter((part) => part !== undefined).join('\n')
    return `    <testcase${head}>\n      <error${attributes({ type: code, message })}>${escapeXml(detail)}</error>\n    </testcase>\n`
  })
  return `  <testsuite${attributes({ name: suite.name, ...countsOf(suite) })}>\n${cases.join('')}${errors.join('')}  </testsuite>\n`
}

function attributes(values: Readonly<Record<string, string | number>>): string {
  return Object.entries(values)
    .map(
      ([name, value]) => ` ${name}="${escapeXml(String(value)).replace(/[\t\n\r]/g, (c) => `&#${c.charCodeAt(0)};`)}"`,
    )
    .join('')
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
}

/** Text for an element or a quoted attribute. Characters outside of XML 1.0 §2.2 have no escape there and become `\u{…}`. */
export function escapeXml(text: string): string {
  return text
    .replace(/[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu, (character) => {
      return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`
    })
    .replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character)
}
