// The ground one case stands on: directories of its own, profiles over them, confinements that are closed at the end, and
// the same command outside of any confinement: the control without which a failed attack proves nothing.

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { parseHostPattern } from '../../core/host-pattern.ts'
import { type PathPattern, parsePathPattern } from '../../core/path-pattern.ts'
import type { Command } from '../../enforcer/command.ts'
import type {
  Capabilities,
  ConfinedProcess,
  Confinement,
  Enforcer,
  ExitStatus,
  OpenConfinementOptions,
} from '../../enforcer/enforcer.ts'
import { FEATURES, type Feature, type Requirements } from '../../enforcer/feature.ts'
import { compileProfile, type Profile, type ProfileLimits } from '../../enforcer/profile.ts'
import { ContractViolationError, ensure, NotApplicableError, shown, within } from './case.ts'
import type { ContractFixture } from './fixture.ts'

/** Rule names in the profiles of the suite. */
export const PERMIT = 'contract_permit'
export const HOLE = 'contract_hole'

/** What a case wants granted, as texts of patterns. Programs are those of the fixture unless said. */
export interface Grants {
  readonly read?: readonly string[]
  readonly write?: readonly string[]
  readonly execute?: readonly string[]
  readonly binaries?: readonly (string | undefined)[]
  readonly hosts?: readonly string[]
  readonly env?: readonly string[]
  readonly forbiddenSyscalls?: readonly string[]
  readonly denyRead?: readonly string[]
  readonly denyWrite?: readonly string[]
  readonly denyExecute?: readonly string[]
  readonly ephemeral?: boolean
  readonly limits?: ProfileLimits
}

export interface Ended {
  readonly stdout: string
  readonly stderr: string
  readonly status: ExitStatus
}

export const ALL_PREFERRED: Requirements = Object.freeze(
  Object.fromEntries(FEATURES.map((feature) => [feature, 'preferred'] as const)),
)

export class Ground {
  readonly enforcer: Enforcer
  readonly #capabilities: () => Promise<Capabilities>
  readonly fixture: ContractFixture
  /** What the case is about; required in every confinement that {@link open} makes. */
  readonly feature: Feature | undefined
  /** A word nobody else has written anywhere. */
  readonly token: string = `token-${randomBytes(12).toString('hex')}`
  readonly #open: Confinement[] = []
  readonly #cleanups: (() => void | Promise<void>)[] = []
  #root: string | undefined

  constructor(
    enforcer: Enforcer,
    capabilities: () => Promise<Capabilities>,
    fixture: ContractFixture,
    feature: Feature | undefined,
  ) {
    this.enforcer = enforcer
    this.#capabilities = capabilities
    this.fixture = fixture
    this.feature = feature
  }

  /**
   * A directory of this case, made when first asked for. Everybody may do everything in it, so that what says no is the
   * confinement and not the mode of a file.
   */
  folder(name: string): string {
    this.#root ??= this.#makeRoot()
    const path = join(this.#root, name)
    if (!existsSync(path)) {
      mkdirSync(path)
      chmodSync(path, 0o777)
    }
    return path
  }

  #makeRoot(): string {
    const root = mkdtempSync(join(this.fixture.directory, 'agentport-contract-'))
    chmodSync(root, 0o777)
    this.#cleanups.push(() => rmSync(root, { recursive: true, force: true }))
    return root
  }

  /** A file that everybody may read, write and, with `mode` 0o777, run. */
  file(folder: string, name: string, content: string | Uint8Array = '', mode = 0o666): string {
    const path = join(this.folder(folder), name)
    writeFileSync(path, content)
    chmodSync(path, mode)
    return path
  }

  remove(path: string): void {
    rmSync(path, { recursive: true, force: true })
  }

  /** `undefined` when there is no such file. */
  content(path: string): string | undefined {
    return existsSync(path) ? readFileSync(path, 'utf8') : undefined
  }

  /** Done when the case is over. */
  later(cleanup: () => void | Promise<void>): void {
    this.#cleanups.push(cleanup)
  }

  profile(grants: Grants = {}): Profile {
    const { sh, cat, sleep, alsoRead, alsoExecute } = this.fixture
    const binaries = (grants.binaries ?? [sh, cat, sleep, this.fixture.true]).filter((path) => path !== undefined)
    const read = patterns([...(grants.read ?? []), ...alsoRead])
    const write = patterns(grants.write ?? [])
    const execute = patterns([...(grants.execute ?? []), ...alsoExecute])
    const hosts = (grants.hosts ?? []).map((text) => {
      const parsed = parseHostPattern(text)
      if (!parsed.ok) throw new TypeError(`${text}: ${parsed.reason}`)
      return parsed.pattern
    })
    const env = grants.env ?? []
    const { profile, excess } = compileProfile(
      {
        readablePaths: read,
        writablePaths: write,
        executablePaths: execute,
        allowedBinaries: [...new Set(binaries)],
        allowedLibraries: [],
        allowedHosts: hosts,
        allowedEnv: env,
        forbiddenSyscalls: grants.forbiddenSyscalls ?? [],
        executionMode: grants.ephemeral === true ? 'ephemeral' : 'shared',
        ...(grants.limits === undefined ? {} : { limits: grants.limits }),
      },
      {
        permits: [
          { rule: PERMIT, reads: read, writes: write, executes: execute, binaries: patterns(binaries), hosts, env },
        ],
        forbids: [
          {
            rule: HOLE,
            reads: patterns(grants.denyRead ?? []),
            writes: patterns(grants.denyWrite ?? []),
            executes: patterns(grants.denyExecute ?? []),
          },
        ],
      },
    )
    if (excess.length > 0) throw new TypeError(`the suite grants less than it asks for: ${shown(excess)}`)
    return profile
  }

  /** The feature of this case required, the others preferred. */
  requirements(): Requirements {
    return this.feature === undefined ? ALL_PREFERRED : { ...ALL_PREFERRED, [this.feature]: 'required' }
  }

  /** What the enforcer answered when the suite asked it. */
  async capabilities(): Promise<Capabilities> {
    return await this.patiently('probe', this.#capabilities())
  }

  /** A confinement; closed when the case is over. What an enforcer says it has it must also give. */
  async open(profile: Profile, more: OpenConfinementOptions = {}): Promise<Confinement> {
    try {
      return await this.tryOpen(profile, more)
    } catch (error) {
      if (error instanceof ContractViolationError) throw error
      const claim = this.feature === undefined ? 'with everything preferred' : `although it claims ${this.feature}`
      throw new ContractViolationError(`open refused, ${claim}: ${shown(error)}`, { cause: error })
    }
  }

  /** The same, with the enforcer's own refusal. */
  async tryOpen(profile: Profile, more: OpenConfinementOptions = {}): Promise<Confinement> {
    const opening = this.enforcer.open(profile, { requirements: this.requirements(), ...more })
    try {
      const box = await this.patiently('open', opening)
      this.#open.push(box)
      return box
    } catch (error) {
      // One that comes too late is closed all the same.
      void opening.then((box) => box.close()).catch(() => undefined)
      throw error
    }
  }

  async patiently<T>(what: string, promise: PromiseLike<T>): Promise<T> {
    return await within(this.fixture.patienceMs, what, promise)
  }

  /** A shell script with `$1`, `$2` …; the whole environment is what `env` says. */
  script(text: string, args: readonly string[] = [], more: Partial<Command> = {}): Command {
    return { file: this.fixture.sh, args: ['-c', text, 'sh', ...args], ...more }
  }

  async spawn(box: Confinement, command: Command): Promise<ConfinedProcess> {
    return await this.patiently(`spawn of ${command.file}`, box.spawn(command))
  }

  async run(box: Confinement, command: Command): Promise<Ended> {
    const child = await this.spawn(box, command)
    return await this.patiently(`${command.file}, its output and its end,`, collect(child))
  }

  /** `command` with no confinement at all, as anyone would start it. */
  async control(command: Command): Promise<Ended> {
    const child = spawn(command.file, [...command.args], {
      env: { ...command.env },
      stdio: [command.stdin instanceof Uint8Array ? 'pipe' : 'ignore', 'pipe', 'pipe'],
      detached: true,
      ...(command.cwd === undefined ? {} : { cwd: command.cwd }),
    })
    // What it left running would go on working on the ground of this case.
    const end = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      } catch {
        // It is gone, which is what was wanted.
      }
    }
    this.#cleanups.push(end)
    child.stdin?.on('error', () => undefined)
    if (command.stdin instanceof Uint8Array) child.stdin?.end(command.stdin)
    const chunks: { readonly [K in 'stdout' | 'stderr']: Uint8Array[] } = { stdout: [], stderr: [] }
    child.stdout?.on('data', (chunk: Uint8Array) => chunks.stdout.push(chunk))
    child.stderr?.on('data', (chunk: Uint8Array) => chunks.stderr.push(chunk))
    const ended = new Promise<ExitStatus>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code, signal) => resolve({ ...(code === null ? { signal: signal ?? '' } : { code }) }))
    })
    try {
      const status = await within(this.fixture.patienceMs, 'the control', ended)
      return {
        stdout: Buffer.concat(chunks.stdout).toString(),
        stderr: Buffer.concat(chunks.stderr).toString(),
        status,
      }
    } catch (error) {
      throw new NotApplicableError(`the control does not run on this host: ${shown(error)}`)
    } finally {
      end()
    }
  }

  /** A violation unless the confinement can do something at all: one in which nothing runs would resist every attack. */
  async mustWork(box: Confinement): Promise<void> {
    const { stdout, stderr, status } = await this.run(box, this.script('echo "$1"', [this.token]))
    ensure(
      stdout === `${this.token}\n`,
      `a granted shell does not run: ${shown(status)}, stdout ${shown(stdout)}, stderr ${shown(stderr)}`,
    )
  }

  async clean(): Promise<void> {
    await Promise.allSettled(this.#open.map((box) => this.patiently('close', box.close())))
    for (const cleanup of [...this.#cleanups].reverse()) await cleanup()
  }
}

export async function collect(child: ConfinedProcess): Promise<Ended> {
  const [stdout, stderr, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ])
  return { stdout, stderr, status }
}

function patterns(texts: readonly string[]): readonly PathPattern[] {
  return texts.map((text) => {
    const parsed = parsePathPattern(text)
    if (!parsed.ok) throw new TypeError(`${text}: ${parsed.reason}`)
    return parsed.pattern
  })
}
