// `agentport run`: any command in a box, with the terminal it was started on. The exit code is the program's own; that the
// program was never started is said in words and in codes of its own.

import { constants, existsSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { isAbsolute, join, resolve } from 'node:path'
import { isatty } from 'node:tty'

import { AgentPortError } from '../core/errors.ts'
import { pathMatches } from '../core/path-pattern.ts'
import { printable } from '../core/text.ts'
import type { EnforcerEvent, ExitStatus } from '../enforcer/enforcer.ts'
import { FEATURES, type Feature, type Requirements } from '../enforcer/feature.ts'
import { compileProfile, type Profile, type ProfileExcess, type ProfileGrant } from '../enforcer/profile.ts'
import type { LinuxConfinement } from '../linux/confinement.ts'
import { signalNumber } from '../linux/exit-status.ts'
import { SpawnError } from '../linux/launcher.ts'
import { LinuxEnforcer } from '../linux/linux-enforcer.ts'
import type { Manifest } from '../manifest/manifest.ts'
import { ManifestValidator } from '../manifest/validator.ts'
import { readSource } from '../node/source.ts'
import { PolicyEngine } from '../policy/engine.ts'
import { type Command, type Output, readOptions, readPairs, UsageError } from './command.ts'
import { skillNameFor } from './documents.ts'

const HELP = `Usage: agentport run --manifest <file> [options] -- <command> [argument…]

Runs a command that can do only what the manifest says, with the terminal, input and output of this one. With --policy it can
do only what the policy permits as well; without one the manifest alone is the limit, and whoever runs this grants it.

  --manifest file       what the command needs: paths, programs, libraries, hosts, variables
  --policy file         what is granted; repeatable, all files form one set
  --node name           the node it runs for, when a policy is given (default: run)
  --tool name           the tool it runs for, when a policy is given (default: run)
  --var name=value      value of \${name} in manifest and policies; repeatable
  --prefer feature      do without a feature that this host cannot enforce; repeatable. Else every feature is required:
                        ${FEATURES.join(', ')}
  --cwd directory       where the command starts (default: here, if the manifest lets it be seen)
  --flat                without namespaces
  --events file         append what happened, one JSON object a line
  --report file         write how it ended: { outcome, code | signal | error, denied, report }
  --quiet               do not list what was denied at the end
  --plan                print what the box would be made of, and start nothing

Exit codes: the program's own, or its signal. 125: it was not started, because it could not be confined or the arguments are
unusable. 126: it is there and cannot be run. 127: it is not there. When the program itself ends with one of these, a line
on standard error says so; --report always tells them apart.`

const NOT_CONFINED = 125
const NOT_RUN = 126
const NOT_FOUND = 127

interface Ended {
  readonly outcome: 'exited' | 'signalled' | 'not_started'
  readonly code?: number
  readonly signal?: string
  readonly error?: { readonly code: string; readonly message: string }
}

export const run: Command = {
  name: 'run',
  summary: 'run a command that can do only what a manifest says',
  help: HELP,
  run: async (args, output) => {
    const denied: EnforcerEvent[] = []
    let values: Record<string, unknown> = {}
    let confinement: LinuxConfinement | undefined
    let eventsFile: number | undefined
    let reportFile: number | undefined
    let ended: Ended
    let code: number
    try {
      const cut = args.indexOf('--')
      if (cut === -1) throw new UsageError('write -- before the command')
      const [name, ...rest] = args.slice(cut + 1)
      const read = readOptions(args.slice(0, cut), OPTIONS)
      values = read.values
      if (read.positionals.length > 0 || name === undefined) throw new UsageError('write the command after --')
      // Before there is a box, and by descriptor from then on: what runs in it may be able to put a link in their place.
      eventsFile = outputFile(values['events'], constants.O_APPEND)
      reportFile = outputFile(values['report'], 0)
      const profile = profileOf(values, output)
      const enforcer = await LinuxEnforcer.open(values['flat'] === true ? { kind: 'flat' } : {})
      if (values['plan'] === true) {
        printPlan(await enforcer.plan(profile), output)
        return 0
      }
      confinement = await enforcer.open(profile, { requirements: requirementsOf(values['prefer']), inherit: true })
      const watching = watch(confinement, eventsFile, denied)
      const exit = await runInside(confinement, profile, name, rest, values['cwd'])
      await confinement.close()
      await watching
      ended =
        exit.code === undefined
          ? { outcome: 'signalled', signal: exit.signal ?? 'SIGKILL' }
          : { outcome: 'exited', code: exit.code }
      code = exit.code ?? 128
      if (values['quiet'] !== true) list(denied, output)
      if (exit.code !== undefined && exit.code >= NOT_CONFINED && exit.code <= NOT_FOUND) {
        output.err(`agentport run: the program itself ended with ${exit.code}`)
      }
    } catch (error) {
      await confinement?.close().catch(() => undefined)
      const known = error instanceof AgentPortError ? error.code : error instanceof UsageError ? 'USAGE' : 'INTERNAL'
      const message = error instanceof Error ? error.message : String(error)
      ended = { outcome: 'not_started', error: { code: known, message } }
      code = codeFor(error)
      output.err(`agentport run: not started: ${known === 'USAGE' ? '' : `${known}: `}${message}`)
      if (known === 'USAGE') output.err('See: agentport run --help')
    }
    if (reportFile !== undefined) {
      const report = { ...ended, denied, ...(confinement === undefined ? {} : { report: confinement.report }) }
      ftruncateSync(reportFile)
      writeSync(reportFile, `${JSON.stringify(report, undefined, 2)}\n`)
    }
    if (ended.signal !== undefined) endBy(ended.signal)
    return code
  },
}

const OPTIONS = {
  manifest: { type: 'string' },
  policy: { type: 'string', multiple: true },
  node: { type: 'string' },
  tool: { type: 'string' },
  var: { type: 'string', multiple: true },
  prefer: { type: 'string', multiple: true },
  cwd: { type: 'string' },
  flat: { type: 'boolean' },
  events: { type: 'string' },
  report: { type: 'string' },
  quiet: { type: 'boolean' },
  plan: { type: 'boolean' },
} as const

function profileOf(values: Record<string, unknown>, output: Output): Profile {
  const { manifest: path } = values
  if (typeof path !== 'string') throw new UsageError('--manifest is needed')
  const variables = readPairs(values['var'], 'var')
  const source = readSource(path)
  const manifest = new ManifestValidator({ variables }).load(source, skillNameFor(source, 'run'))
  const { profile, excess } = compileProfile(manifest, grantOf(manifest, values, variables))
  for (const { kind, text, reason, rule } of excess) {
    const why = reason === 'forbidden' ? `forbidden by ${rule ?? 'a rule'}` : 'not granted'
    output.err(`agentport run: ${excessKind(kind)} ${printable(text)} is ${why}`)
  }
  return profile
}

function excessKind(kind: ProfileExcess['kind']): string {
  return kind === 'host' ? 'host' : kind
}

/** Without a policy the manifest is granted as it is: who runs the command is who would have written the policy. */
function grantOf(
  manifest: Manifest,
  values: Record<string, unknown>,
  variables: Readonly<Record<string, string>>,
): ProfileGrant {
  const policies = (values['policy'] ?? []) as readonly string[]
  if (policies.length > 0) {
    const engine = PolicyEngine.from(
      policies.map((file) => readSource(file)),
      { variables },
    )
    const name = (key: string): string => (typeof values[key] === 'string' ? values[key] : 'run')
    return engine.grantsFor({ node: name('node'), roles: [], skill: manifest.skill, tool: name('tool') })
  }
  return {
    permits: [
      {
        rule: 'manifest',
        reads: manifest.readablePaths,
        writes: manifest.writablePaths,
        executes: manifest.executablePaths,
        binaries: manifest.allowedBinaries.map(exactPattern),
        libraries: manifest.allowedLibraries,
        hosts: manifest.allowedHosts,
        env: manifest.allowedEnv,
        rights: manifest.processRights,
      },
    ],
    forbids: [],
  }
}

function exactPattern(path: string): Manifest['readablePaths'][number] {
  return {
    text: path,
    segments: path
      .slice(1)
      .split('/')
      .map((text) => ({ kind: 'literal', text })),
  }
}

function outputFile(path: unknown, flags: number): number | undefined {
  if (typeof path !== 'string') return undefined
  try {
    return openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW | flags, 0o644)
  } catch (error) {
    throw new UsageError(`${path} cannot be written: ${error instanceof Error ? error.message : String(error)}`)
  }
}

function requirementsOf(preferred: unknown): Requirements {
  const requirements: { -readonly [K in Feature]?: 'preferred' } = {}
  for (const name of (preferred ?? []) as readonly string[]) {
    const feature = FEATURES.find((one) => one === name)
    if (feature === undefined) throw new UsageError(`--prefer takes one of ${FEATURES.join(', ')}`)
    requirements[feature] = 'preferred'
  }
  return requirements
}

async function runInside(
  confinement: LinuxConfinement,
  profile: Profile,
  name: string,
  args: readonly string[],
  cwd: unknown,
): Promise<ExitStatus> {
  const here = typeof cwd === 'string' ? resolve(cwd) : process.cwd()
  const visible = [...profile.read, ...profile.write].some(({ value }) => pathMatches(value, here))
  const env: Record<string, string> = {}
  for (const { value } of profile.env) {
    const text = process.env[value]
    if (text !== undefined) env[value] = text
  }
  // Before the command is there: a signal that comes meanwhile must not end this process and leave the box.
  const { signals, stop } = passSignals(confinement)
  try {
    const { exited } = await confinement.spawnInherited({
      file: programPath(name),
      args,
      env,
      ...(typeof cwd === 'string' || visible ? { cwd: here } : {}),
    })
    signals()
    return await exited
  } finally {
    stop()
  }
}

const PASSED = ['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH', 'SIGCONT'] as const
/** A terminal sends these to the command as well, which is in its foreground. */
const FROM_TERMINAL: readonly string[] = ['SIGINT', 'SIGQUIT', 'SIGWINCH', 'SIGCONT']

function passSignals(confinement: LinuxConfinement): { signals: () => void; stop: () => void } {
  const terminal = confinement.keepsTerminal && isatty(0)
  let started = false
  const waiting: number[] = []
  const handlers = PASSED.map((name) => {
    const handler = (): void => {
      const number = signalNumber(name)
      if (number === undefined || (terminal && FROM_TERMINAL.includes(name))) return
      if (started) confinement.signal(number)
      else waiting.push(number)
    }
    process.on(name, handler)
    return () => process.off(name, handler)
  })
  return {
    signals: () => {
      started = true
      for (const number of waiting) confinement.signal(number)
    },
    stop: () => {
      for (const off of handlers) off()
    },
  }
}

/** As a shell finds it, so that people can write `python3`; the box sees the absolute path and nothing of PATH. */
function programPath(name: string): string {
  if (name === '') throw new UsageError('the command is empty')
  if (name.includes('/')) return isAbsolute(name) ? resolve(name) : resolve(process.cwd(), name)
  for (const directory of (process.env['PATH'] ?? '').split(':')) {
    if (isAbsolute(directory) && existsSync(join(directory, name))) return join(directory, name)
  }
  throw new NotFoundError(name)
}

function codeFor(error: unknown): number {
  if (error instanceof NotFoundError) return NOT_FOUND
  if (!(error instanceof SpawnError)) return NOT_CONFINED
  return error.step === 'exec' && error.errno === 'ENOENT' ? NOT_FOUND : NOT_RUN
}

/** No directory of PATH has it. */
class NotFoundError extends AgentPortError {
  constructor(name: string) {
    super('ERR_SPAWN_FAILED', `there is no ${printable(name)} in PATH`)
  }
}

async function watch(confinement: LinuxConfinement, file: number | undefined, denied: EnforcerEvent[]): Promise<void> {
  for await (const event of confinement.events) {
    if (event.type === 'denied' && denied.length < 1000) denied.push(event)
    if (file !== undefined) writeSync(file, `${JSON.stringify(event)}\n`)
  }
}

function printPlan({ plan, report }: Awaited<ReturnType<LinuxEnforcer['plan']>>, output: Output): void {
  const { setup, closure, landlock, notes } = plan
  output.out('files')
  for (const item of setup.mounts) {
    if (item.type === 'bind')
      output.out(`  ${item.access.padEnd(8)} ${printable(item.source)}${item.recursive ? '/**' : ''}`)
    else if (item.type === 'tmpfs') output.out(`  ${item.readonly ? 'hidden' : 'scratch'}  ${printable(item.target)}`)
    else if (item.type === 'mask') output.out(`  hidden   ${printable(item.target)}`)
  }
  output.out('code that comes with the programs')
  for (const { path, why } of closure.files) output.out(`  ${printable(path)}  ${printable(why)}`)
  for (const { name, neededBy } of closure.missing) {
    output.out(`  missing: ${printable(name)}, needed by ${printable(neededBy)}`)
  }
  output.out(`network  ${setup.network}`)
  for (const { name, address, port } of setup.listeners) output.out(`  ${name}  ${address}:${port}`)
  output.out(
    `landlock ABI ${landlock.abi}${landlock.dropped.length > 0 ? `, without ${landlock.dropped.join(', ')}` : ''}`,
  )
  for (const note of notes) output.out(`note: ${printable(note)}`)
  for (const feature of FEATURES) {
    const { status, mechanism, visibility } = report.features[feature]
    output.out(
      `${feature.padEnd(17)}  ${status}${mechanism === '' ? '' : ` by ${mechanism}`}; denials are ${visibility}`,
    )
  }
}

const LISTED = 10

function list(denied: readonly EnforcerEvent[], output: Output): void {
  const lines = new Map<string, number>()
  for (const event of denied) {
    if (event.type !== 'denied') continue
    const line = `${event.feature}: ${printable(event.subject)}`
    lines.set(line, (lines.get(line) ?? 0) + 1)
  }
  for (const [line, count] of [...lines].slice(0, LISTED)) {
    output.err(`agentport run: denied ${line}${count > 1 ? ` (${count} times)` : ''}`)
  }
  if (lines.size > LISTED) output.err(`agentport run: … and ${lines.size - LISTED} more kinds of denial`)
}

/** Ends this process as the program was ended, so that a shell sees the same. */
function endBy(signal: string): void {
  process.removeAllListeners(signal)
  if (signalNumber(signal) !== undefined) process.kill(process.pid, signal)
}
