// `npm run bench`: every engine at every size, each cell in a process of its own, as one table.
//
//   --budget 600          milliseconds for each of the two timed passes of a cell
//   --sizes 10,1000       numbers of rules
//   --engines casl,cedar  agentport is the base of the ratios and is always measured
//   --variants dense      sparse: many roles, few rules for each; dense: few roles, many rules for each
//   --json                one JSON document instead of the tables
//
// Exits with 1 when an engine disagrees with the brute-force reference.

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { type AuthorizeResult, measureAuthorize } from './authorize.ts'
import { type LoadPhases, measureLoad } from './load.ts'
import { type Cell, ENGINES, measureCell } from './measure.ts'
import { printAuthorize, printDecisions, printLoad } from './table.ts'
import { SIZES, VARIANTS, type Variant } from './workload.ts'

const { values: options } = parseArgs({
  options: {
    budget: { type: 'string', default: '600' },
    sizes: { type: 'string', default: SIZES.join(',') },
    engines: { type: 'string', default: Object.keys(ENGINES).join(',') },
    variants: { type: 'string', default: VARIANTS.join(',') },
    json: { type: 'boolean', default: false },
    /** Set by the parent: what this process measures. */
    child: { type: 'string' },
  },
})

const budget = positive(options.budget, '--budget')

if (options.child === undefined) parent()
else process.stdout.write(JSON.stringify(await child(options.child)))

async function child(task: string): Promise<Cell | AuthorizeResult | LoadPhases> {
  const [kind, ...rest] = task.split(' ')
  if (kind === 'authorize') return measureAuthorize(budget)
  if (kind === 'load') return measureLoad(positive(rest[0] ?? '', 'load'))
  const [engine = '', size = '', variant] = rest
  return measureCell(engine, positive(size, 'size'), variant as Variant, budget)
}

function parent(): void {
  const sizes = options.sizes.split(',').map((size) => positive(size, '--sizes'))
  const variants = options.variants.split(',').map((name) => oneOf(VARIANTS, name, '--variants'))
  const engines = [...new Set(['agentport', ...options.engines.split(',')])].map((name) =>
    oneOf(Object.keys(ENGINES), name, '--engines'),
  )
  const tasks = variants.flatMap((variant) =>
    sizes.flatMap((size) => engines.map((engine) => `cell ${engine} ${size} ${variant}`)),
  )
  const total = tasks.length + 2
  const cells = tasks.map((task, index) => ask<Cell>(task, `${index + 1}/${total}`))
  const load = ask<LoadPhases>(`load ${Math.max(...sizes)}`, `${total - 1}/${total}`)
  const authorize = ask<AuthorizeResult>('authorize', `${total}/${total}`)
  process.stderr.write('\r\u001b[K')

  if (options.json)
    console.log(JSON.stringify({ node: process.version, budgetMs: budget, cells, load, authorize }, null, 2))
  else {
    for (const variant of variants)
      printDecisions(
        variant,
        cells.filter((cell) => cell.variant === variant),
      )
    printLoad(load)
    printAuthorize(authorize)
  }
  if (cells.some((cell) => cell.mismatches > 0)) process.exitCode = 1
}

function ask<T>(task: string, progress: string): T {
  process.stderr.write(`\r\u001b[K${progress} ${task}`)
  const self = fileURLToPath(import.meta.url)
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--expose-gc', self, '--child', task, '--budget', String(budget)],
    { encoding: 'utf8', maxBuffer: 1 << 26 },
  )
  if (status !== 0) throw new Error(`${task} ended with ${status}\n${stderr}`)
  return JSON.parse(stdout) as T
}

function positive(text: string, name: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value <= 0) throw new TypeError(`${name}: "${text}" is not a positive whole number`)
  return value
}

function oneOf<const T extends string>(known: readonly T[], name: string, option: string): T {
  const found = known.find((one) => one === name)
  if (found === undefined) throw new TypeError(`${option}: "${name}" is not one of ${known.join(', ')}`)
  return found
}
