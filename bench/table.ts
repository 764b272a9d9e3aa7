// The results as text for people.

import type { AuthorizeResult } from './authorize.ts'
import type { LoadPhases } from './load.ts'
import type { Cell } from './measure.ts'
import type { Variant } from './workload.ts'

const HEADER = [
  'rules',
  'engine',
  'p50',
  'p99',
  'decisions/CPU-s',
  'slower ×',
  'load',
  'heap',
  'RSS',
  'checked',
] as const

export function printDecisions(variant: Variant, cells: readonly Cell[]): void {
  console.log(`\nPolicy decisions, ${variant}: latency per call, throughput, and p50 against agentport's`)
  console.log(
    'agentport is timed from canonical resources to the verdict with its rules, agentport-text from the raw host, address or',
    'path; the others from ready values to yes or no',
  )
  const rows = cells.map((cell) => {
    const ours = cells.find((other) => other.engine === 'agentport' && other.size === cell.size)
    return [
      cell.size.toLocaleString('en'),
      cell.engine,
      micros(cell.p50Micros),
      micros(cell.p99Micros),
      Math.round(cell.decisionsPerCpuSecond).toLocaleString('en'),
      ours === undefined ? '' : ratio(cell.p50Micros / ours.p50Micros),
      `${Math.round(cell.loadMs)} ms`,
      `${cell.heapMb.toFixed(1)} MB`,
      `${cell.rssMb.toFixed(0)} MB`,
      `${cell.checked}${cell.mismatches === 0 ? '' : ` (${cell.mismatches} WRONG)`}`,
    ]
  })
  printTable(HEADER, rows)
  for (const engine of new Set(cells.map((cell) => cell.engine))) {
    const own = cells.filter((cell) => cell.engine === engine).sort((a, b) => a.size - b.size)
    const [first] = own
    const last = own.at(-1)
    if (first === undefined || last === undefined || first === last) continue
    const growth = ratio(last.p50Micros / first.p50Micros)
    console.log(
      `${engine}: p50 grows ${growth} from ${first.size.toLocaleString('en')} to ${last.size.toLocaleString('en')} rules`,
    )
  }
}

export function printLoad(load: LoadPhases): void {
  console.log(`\nLoading ${load.size.toLocaleString('en')} rules (${(load.yamlLength / 1e6).toFixed(1)} MB of YAML)`)
  printTable(
    ['from', 'time', 'kept'],
    [
      ['YAML text', `${Math.round(load.yamlMs)} ms`, `${load.keptMb.toFixed(1)} MB`],
      ['the yaml package alone, to compare', `${Math.round(load.yamlLibraryMs)} ms`, ''],
      ['JSON text', `${Math.round(load.jsonMs)} ms`, ''],
      ['plain object', `${Math.round(load.objectMs)} ms`, ''],
    ],
  )
}

export function printAuthorize(result: AuthorizeResult): void {
  console.log(`\nWhole call: authorize() with ${result.rules} rules and the audit record in memory`)
  printTable(
    ['call', 'p50', 'p99', 'calls'],
    result.calls.map((call) => [
      call.name,
      micros(call.p50Micros),
      micros(call.p99Micros),
      call.samples.toLocaleString('en'),
    ]),
  )
}

function printTable(header: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) =>
        column === 1 && header[1] === 'engine' ? cell.padEnd(widths[column] ?? 0) : pad(cell, column, widths),
      )
      .join('  ')
      .trimEnd()
  console.log(line(header))
  console.log(widths.map((width) => '─'.repeat(width)).join('──'))
  for (const [index, row] of rows.entries()) {
    if (index > 0 && header[1] === 'engine' && row[0] !== rows[index - 1]?.[0]) console.log()
    console.log(line(row))
  }
}

function pad(cell: string, column: number, widths: readonly number[]): string {
  const width = widths[column] ?? 0
  return column === 0 ? cell.padEnd(width) : cell.padStart(width)
}

function micros(value: number): string {
  if (value < 100) return `${value.toFixed(2)} µs`
  return value < 10_000 ? `${Math.round(value).toLocaleString('en')} µs` : `${(value / 1000).toFixed(1)} ms`
}

function ratio(value: number): string {
  return `×${value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString('en')}`
}
