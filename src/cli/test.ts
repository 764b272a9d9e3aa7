// `agentport test`: do the policies decide what their tests say they decide?

import { writeFileSync } from 'node:fs'
import { dirname, isAbsolute, join, normalize } from 'node:path'

import { parseDocument, type SourceDocument, type SourceText } from '../core/document.ts'
import { formatProblems, type Problem } from '../core/problem.ts'
import { printable } from '../core/text.ts'
import { substituteVariables } from '../core/variables.ts'
import { readSource } from '../node/source.ts'
import { PolicyEngine } from '../policy/engine.ts'
import { type PolicyTest, readPolicyTestFile, readPolicyTests } from '../policy/test-case.ts'
import { type PolicyTestResult, runPolicyTest } from '../policy/test-run.ts'
import { type Command, type Output, readOptions, readPairs, UsageError } from './command.ts'
import { findDocuments } from './documents.ts'
import { type JunitSuite, junitXml } from './junit.ts'
import { type Coverage, CoverageCounter } from './test-coverage.ts'
import { findTestFiles } from './test-files.ts'

const HELP = `Usage: agentport test <path>… [options]

Runs the tests of policies: those under tests: of a policy, and those of files named *.policy.test.yaml (.yml .json .toml),
which list the policies they are about. All policies found form one set; their own tests are asked of that set.

  --var name=value   value of \${name} in policies and tests; repeatable
  --filter text      only tests whose name has this text
  --coverage         say which rules, limits and obligations no test has reached
  --min-coverage n   fail below n percent; implies --coverage
  --junit file       write the results as JUnit XML
  --json             one JSON object: { ok, passed, failed, tests, problems, faults, coverage? }

Exit codes: 0 all passed, 1 some failed, or there was none, or a document is not in order, 2 could not be run.`

type Variables = Readonly<Record<string, string>>

interface Options {
  readonly variables: Variables
  readonly filter: string | undefined
  readonly coverage: CoverageCounter | undefined
}

interface Ran {
  readonly test: PolicyTest
  readonly result: PolicyTestResult
}

/** The tests of one file, run; or why they could not be. */
interface Suite {
  readonly file: string
  readonly ran: readonly Ran[]
  readonly problems: readonly Problem[]
}

export const test: Command = {
  name: 'test',
  summary: 'run the tests of policies',
  help: HELP,
  run: async (args, output) => {
    const { values, positionals } = readOptions(args, {
      var: { type: 'string', multiple: true },
      filter: { type: 'string' },
      coverage: { type: 'boolean' },
      'min-coverage': { type: 'string' },
      junit: { type: 'string' },
      json: { type: 'boolean' },
    })
    if (positionals.length === 0) throw new UsageError('name the files or directories to test')
    const { filter, junit } = values
    const least = readPercent(values['min-coverage'])
    const counter = values['coverage'] === true || least !== undefined ? new CoverageCounter() : undefined
    const options: Options = {
      variables: readPairs(values['var'], 'var'),
      filter: typeof filter === 'string' ? filter : undefined,
      coverage: counter,
    }
    const suites = runSuites(positionals, options)
    const outcome = judge(suites, counter?.result(), least, options.filter)
    if (values['json'] === true) output.out(JSON.stringify(jsonOf(suites, outcome), undefined, 2))
    else report(suites, outcome, output)
    // Last: what was found out is told even where this file cannot be written.
    if (typeof junit === 'string') writeFileSync(junit, junitXml(suites.map(junitSuite)))
    return outcome.ok ? 0 : 1
  },
}

function readPercent(value: unknown): number | undefined {
  if (value === undefined) return undefined
  const text = String(value)
  const percent = Number(text)
  if (!/^[0-9]{1,3}(?:\.[0-9]+)?$/.test(text) || percent > 100) throw new UsageError('--min-coverage is 0 to 100')
  return percent
}

function runSuites(paths: readonly string[], options: Options): readonly Suite[] {
  // First, because it says so when there is no such path.
  const found = findDocuments(paths)
  const testFiles = paths.flatMap(findTestFiles)
  const names = new Set(testFiles.map(({ file }) => file))
  const policies = found.filter(({ kind, source }) => kind === 'policy' && !names.has(source.file))
  const suites = runInline(
    policies.map(({ source }) => source),
    options,
  )
  return [...suites, ...testFiles.map((source) => runTestFile(source, options))]
}

/** The tests that stand in the policies themselves, asked of all of them as one set. */
function runInline(sources: readonly SourceText[], options: Options): readonly Suite[] {
  const read = sources.map((source) => ({ source, parsed: parseDocument(source) }))
  const withTests = read.filter(({ parsed }) => !parsed.ok || hasTests(parsed.document))
  // Policies without tests of their own may be any number of sets; only what is tested has to hold together.
  if (withTests.length === 0) return []
  const set = loadSet(sources, options.variables, options.coverage)
  if (set.engine === undefined) return suitesOfProblems(set.problems)
  return withTests.flatMap(({ source, parsed }) => {
    const { file } = source
    const substituted = parsed.ok ? substituteVariables(parsed.document, options.variables) : parsed
    if (!substituted.ok) return [{ file, ran: [], problems: substituted.problems }]
    return [runTests(file, substituted.document, set, options)]
  })
}

function runTestFile(source: SourceText, options: Options): Suite {
  const failed = (problems: readonly Problem[]): Suite => ({ file: source.file, ran: [], problems })
  const parsed = parseDocument(source)
  if (!parsed.ok) return failed(parsed.problems)
  const head = readPolicyTestFile(parsed.document)
  if (!head.ok) return failed(head.problems)
  // The command line has the last word: the same tests are run for several environments.
  const variables: Variables = { ...head.file.variables, ...options.variables }
  const substituted = substituteVariables(parsed.document, variables)
  if (!substituted.ok) return failed(substituted.problems)
  const sources: SourceText[] = []
  const problems: Problem[] = []
  head.file.policies.forEach((path, index) => {
    try {
      sources.push(readSource(isAbsolute(path) ? path : normalize(join(dirname(source.file), path))))
    } catch (error) {
      const message = error instanceof Error ? error.message : 'it cannot be read'
      problems.push(parsed.document.problem('unknown_reference', `/policies/${index}`, message))
    }
  })
  if (problems.length > 0) return failed(problems)
  const set = loadSet(sources, variables, options.coverage)
  return set.engine === undefined ? failed(set.problems) : runTests(source.file, substituted.document, set, options)
}

type PolicySetUnderTest =
  | { readonly engine: PolicyEngine; readonly files: readonly string[] }
  | { readonly engine: undefined; readonly problems: readonly Problem[] }

function loadSet(
  sources: readonly SourceText[],
  variables: Variables,
  coverage: CoverageCounter | undefined,
): PolicySetUnderTest {
  const loaded = PolicyEngine.load(sources, { variables })
  if (!loaded.ok) return { engine: undefined, problems: loaded.problems }
  for (const source of sources) {
    const parsed = parseDocument(source)
    if (parsed.ok) coverage?.addPolicy(parsed.document)
  }
  return { engine: loaded.engine, files: sources.map(({ file }) => file) }
}

function hasTests({ value }: SourceDocument): boolean {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, 'tests')
}

function runTests(
  file: string,
  document: SourceDocument,
  { engine, files }: { readonly engine: PolicyEngine; readonly files: readonly string[] },
  { filter, coverage }: Options,
): Suite {
  const read = readPolicyTests(document)
  if (!read.ok) return { file, ran: [], problems: read.problems }
  const chosen = read.tests.filter(({ name }) => filter === undefined || name.includes(filter))
  const ran = chosen.map((one) => ({ test: one, result: runPolicyTest(engine, one) }))
  for (const { test: one, result } of coverage === undefined ? [] : ran) {
    if (result.verdict === undefined) continue
    const applying = engine.explain(one.request).statements.filter(({ standing }) => standing === 'applies')
    coverage?.addTest(
      result.verdict,
      applying.map(({ rule }) => rule.id),
      files,
    )
  }
  return { file, ran, problems: [] }
}

function suitesOfProblems(problems: readonly Problem[]): readonly Suite[] {
  const files = [...new Set(problems.map(({ file }) => file))]
  return files.map((file) => ({ file, ran: [], problems: problems.filter((problem) => problem.file === file) }))
}

interface Outcome {
  readonly ok: boolean
  readonly passed: number
  readonly failed: number
  readonly problems: readonly Problem[]
  readonly coverage?: Coverage
  /** What is wrong besides tests that failed and documents that are not in order. */
  readonly faults: readonly string[]
}

function judge(
  suites: readonly Suite[],
  coverage: Coverage | undefined,
  least: number | undefined,
  filter: string | undefined,
): Outcome {
  const ran = suites.flatMap((suite) => suite.ran)
  const passed = ran.filter(({ result }) => result.passed).length
  const problems = suites.flatMap((suite) => suite.problems)
  const faults: string[] = []
  // A command that tests nothing and says that all is well would be believed.
  if (ran.length === 0 && problems.length === 0) {
    faults.push(
      filter === undefined
        ? 'there are no tests: a policy has them under tests:, a file of tests is named *.policy.test.yaml'
        : `no test has "${printable(filter, 80)}" in its name`,
    )
  }
  if (coverage !== undefined && least !== undefined && coverage.percent < least) {
    faults.push(`coverage is ${percentText(coverage.percent)}, and has to be ${least} %`)
  }
  const failed = ran.length - passed
  const ok = failed === 0 && problems.length === 0 && faults.length === 0
  return { ok, passed, failed, problems, faults, ...(coverage === undefined ? {} : { coverage }) }
}

/** Rounded down: what is not all is never printed as 100 %. */
function percentText(percent: number): string {
  return `${Math.floor(percent * 10) / 10} %`
}

function report(suites: readonly Suite[], outcome: Outcome, output: Output): void {
  const { ok, passed, failed, problems, coverage, faults } = outcome
  if (problems.length > 0) output.err(`${formatProblems(problems)}\n`)
  for (const { test: one, result } of suites.flatMap((suite) => suite.ran)) {
    if (!result.passed) output.err(failureText(one, result))
  }
  if (coverage !== undefined) {
    output.out(`coverage: ${coverage.covered} of ${coverage.rules.length} (${percentText(coverage.percent)})`)
    for (const { id, effect, file, line, column, decided, matched } of coverage.rules) {
      const what = matched === 0 ? 'never matched' : decided === 0 ? 'matched, never decided' : undefined
      if (what !== undefined) output.out(`  ${what}: ${printable(file)}:${line}:${column} ${id} (${effect})`)
    }
  }
  for (const fault of faults) output.err(`agentport test: ${fault}`)
  const broken = problems.length === 0 ? '' : `, ${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}`
  output.out(`${ok ? '✓' : '✗'} ${passed} passed, ${failed} failed${broken}`)
}

function failureText({ name, place }: PolicyTest, { expected, actual, message }: PolicyTestResult): string {
  return [
    `✗ ${printable(place.file)}:${place.line}:${place.column}: ${name}`,
    `    expected: ${expected}`,
    `    actual:   ${actual}`,
    ...message.split('\n').map((line) => `    ${line}`),
  ].join('\n')
}

function junitSuite({ file, ran, problems }: Suite): JunitSuite {
  return {
    name: file,
    problems,
    cases: ran.map(({ test: { name, place }, result }) => ({
      name,
      file: place.file,
      line: place.line,
      ...(result.passed
        ? {}
        : {
            failure: {
              summary: `expected ${result.expected}, got ${result.actual}`,
              detail: `${place.file}:${place.line}:${place.column}\n${result.message}`,
            },
          }),
    })),
  }
}

function jsonOf(suites: readonly Suite[], outcome: Outcome): unknown {
  const { ok, passed, failed, problems, faults, coverage } = outcome
  const tests = suites
    .flatMap((suite) => suite.ran)
    .map(({ test: { name, place }, result: { passed: good, expected, actual, message } }) => {
      return { name, ...place, passed: good, expected, actual, ...(good ? {} : { message }) }
    })
  return { ok, passed, failed, tests, problems, faults, ...(coverage === undefined ? {} : { coverage }) }
}
