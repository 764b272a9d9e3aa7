// The policies a command is given, as one set, and requests from files and options in the form that policy tests have.

import { documentFromValue, parseDocument, type SourceText, withValue } from '../core/document.ts'
import type { JsonValue } from '../core/json.ts'
import { isJsonObject } from '../core/lint.ts'
import { formatProblems, type Problem } from '../core/problem.ts'
import type { PolicyRequest } from '../policy/request.ts'
import { readPolicyTests } from '../policy/test-case.ts'
import { UsageError } from './command.ts'
import { findDocuments } from './documents.ts'

/** The policies among the documents at `paths`. */
export function policySources(paths: readonly string[]): readonly SourceText[] {
  const found = findDocuments(paths).flatMap(({ kind, source }) => (kind === 'policy' ? [source] : []))
  if (found.length === 0) throw new UsageError(`there is no policy in ${paths.join(', ')}`)
  return found
}

/**
 * The request in a document: as it is, or under `request`, as in a policy test.
 *
 * @throws UsageError naming every problem with its place
 */
export function readRequestText(source: SourceText): PolicyRequest {
  const parsed = parseDocument(source)
  if (!parsed.ok) throw unreadable(parsed.problems)
  const { document } = parsed
  const isTest = isJsonObject(document.value) && Object.hasOwn(document.value, 'request')
  const value = isTest && isJsonObject(document.value) ? document.value['request'] : document.value
  const read = readPolicyTests(withValue(document, asTest(value ?? null)))
  const [test] = read.ok ? read.tests : []
  if (test !== undefined) return test.request
  const problems = read.ok ? [] : read.problems
  throw unreadable(
    problems.map(({ code, message, hint, pointer }) =>
      document.problem(code, `${isTest ? '/request' : ''}${pointer.replace(/^\/tests\/0\/request/, '')}`, message, {
        ...(hint === undefined ? {} : { hint }),
        ...(code === 'unknown_key' || code === 'contradiction' ? { on: 'key' } : {}),
      }),
    ),
  )
}

/** The same for one made of options. */
export function readRequestValue(value: JsonValue): PolicyRequest {
  const document = documentFromValue(asTest(value), 'options')
  const read = document.ok ? readPolicyTests(document.document) : document
  const [test] = read.ok && 'tests' in read ? read.tests : []
  if (test !== undefined) return test.request
  const problems = read.ok ? [] : read.problems
  const lines = problems.map(({ message, hint, pointer }) => {
    const place = pointer.replace(/^\/tests\/0\/request\/?/, '')
    return `${place === '' ? '' : `${place}: `}${message}${hint === undefined ? '' : ` (${hint})`}`
  })
  throw new UsageError(lines.join('\n'))
}

function asTest(request: JsonValue): { readonly tests: readonly JsonValue[] } {
  return { tests: [{ name: 'request', request, expect: 'deny' }] }
}

function unreadable(problems: readonly Problem[]): UsageError {
  return new UsageError(`the request cannot be read\n${formatProblems(problems)}`)
}
