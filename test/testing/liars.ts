// Enforcers that break the contract, each in one way. All stand on one that keeps it: it starts programs as the null
// enforcer does, says of every feature that it is absent, and claims only what a liar adds.

import type {
  Capabilities,
  Capability,
  Confinement,
  Enforcer,
  EnforcerEvent,
  KillReport,
  OpenConfinementOptions,
} from '../../src/enforcer/enforcer.ts'
import { FEATURES, type Feature } from '../../src/enforcer/feature.ts'
import type { Profile } from '../../src/enforcer/profile.ts'
import type { EnforcementReport, FeatureReport } from '../../src/enforcer/report.ts'
import { unsafeNullEnforcer } from '../../src/testing/null-enforcer.ts'
import { ALL_PREFERRED } from '../enforcer/helpers.ts'

const NAME = 'liar'

export interface Lie {
  /** Features it says it has; it has none. */
  readonly claims?: readonly Feature[]
  readonly probe?: (honest: Capabilities) => Capabilities | Promise<Capabilities>
  readonly report?: (honest: EnforcementReport) => EnforcementReport
  readonly open?: (
    open: (profile: Profile, options: OpenConfinementOptions) => Promise<Confinement>,
    profile: Profile,
    options: OpenConfinementOptions,
  ) => Promise<Confinement>
  readonly box?: (honest: Confinement) => Partial<Confinement>
}

export function liar({ claims = [], probe, report, open, box }: Lie): Enforcer {
  const openHonestly = async (_profile: Profile, options: OpenConfinementOptions): Promise<Confinement> => {
    const claimed = Object.fromEntries(claims.map((feature) => [feature, 'preferred'] as const))
    const requirements = { ...(options.requirements ?? {}), ...claimed }
    const real = await unsafeNullEnforcer.open(_profile, { ...options, requirements })
    const features = perFeature<FeatureReport>((feature) =>
      claims.includes(feature)
        ? { status: 'enforced', mechanism: 'a claim', visibility: 'silent' }
        : real.report.features[feature],
    )
    const said: EnforcementReport = { enforcer: NAME, enforcement: 'kernel', confined: true, features }
    const honest: Confinement = {
      report: report?.(said) ?? said,
      events: real.events,
      spawn: (command) => real.spawn(command),
      kill: async () =>
        claims.includes('process_tree_kill') ? cleanly(await real.kill()) : { ...(await real.kill()) },
      close: () => real.close(),
    }
    return { ...honest, ...box?.(honest) }
  }
  return {
    name: NAME,
    probe: async () => {
      const features = perFeature<Capability>((feature) =>
        claims.includes(feature)
          ? { support: 'supported', mechanism: 'a claim' }
          : { support: 'unsupported', mechanism: '', reason: 'it is not there', fix: 'put it there' },
      )
      const honest: Capabilities = { enforcer: NAME, features }
      return (await probe?.(honest)) ?? honest
    },
    open: (profile, options = {}) => (open ?? ((honest, ...rest) => honest(...rest)))(openHonestly, profile, options),
  }
}

function perFeature<T>(value: (feature: Feature) => T): Readonly<Record<Feature, T>> {
  return Object.fromEntries(FEATURES.map((feature) => [feature, value(feature)])) as Record<Feature, T>
}

function cleanly(report: KillReport): KillReport {
  return { ...report, enforcement: 'kernel', outcome: 'clean' }
}

/** `events` as they are after `change`, still with one reader. */
function rewritten(
  honest: Confinement,
  change: (events: AsyncIterable<EnforcerEvent>) => AsyncIterable<EnforcerEvent>,
): Pick<Confinement, 'events'> {
  return { events: { [Symbol.asyncIterator]: () => change(honest.events)[Symbol.asyncIterator]() } }
}

async function* map(
  events: AsyncIterable<EnforcerEvent>,
  change: (event: EnforcerEvent) => readonly EnforcerEvent[],
): AsyncGenerator<EnforcerEvent> {
  for await (const event of events) yield* change(event)
}

const withOther = <T extends object>(value: T, key: string, other: unknown): T => ({ ...value, [key]: other })

/** Each lie, and the cases that find it out: those, and no others. */
export const LIARS: readonly (readonly [string, Lie, readonly string[]])[] = [
  ['one that keeps the contract and has no feature', {}, []],
  [
    'one that leaves a feature out of its probe',
    {
      probe: ({ enforcer, features: { limits: _, ...features } }) => ({
        enforcer,
        features: features as Capabilities['features'],
      }),
    },
    [
      'probe: answers for every feature in the words of the port',
      'probe: what is not supported has a reason and a fix',
      'every case about limits',
    ],
  ],
  [
    'one whose probe has a word of its own',
    {
      probe: (honest) => ({
        ...honest,
        features: withOther(honest.features, 'egress', { support: 'yes', mechanism: 'm', reason: 'r', fix: 'f' }),
      }),
    },
    ['probe: answers for every feature in the words of the port', 'every case about egress'],
  ],
  [
    'one that gives no fix',
    {
      probe: (honest) => ({
        ...honest,
        features: withOther(honest.features, 'egress', { support: 'unsupported', mechanism: '', reason: 'r' }),
      }),
    },
    ['probe: what is not supported has a reason and a fix'],
  ],
  [
    'one that changes its mind',
    (() => {
      let asked = 0
      return {
        probe: (honest: Capabilities) => {
          asked += 1
          const support = asked % 2 === 1 ? 'unsupported' : 'inconclusive'
          return {
            ...honest,
            features: withOther(honest.features, 'egress', { support, mechanism: '', reason: 'r', fix: 'f' }),
          }
        },
      }
    })(),
    ['probe: asked twice, the same answer'],
  ],
  [
    'one that says that nothing is confined',
    { report: (honest) => ({ ...honest, confined: false }) },
    ['report: says that the kernel confines'],
  ],
  [
    'one that says that nothing enforces',
    { report: (honest) => ({ ...honest, enforcement: 'none' }) },
    ['report: says that the kernel confines'],
  ],
  [
    'one that leaves a feature out of its report',
    {
      report: ({ features: { limits: _, ...features }, ...honest }) => ({
        ...honest,
        features: features as EnforcementReport['features'],
      }),
    },
    [
      'report: tells of every feature in the words of the port',
      'report: what is not enforced has a reason and a fix',
      'requirements: a preferred feature that is unsupported is reported as partial or absent',
    ],
  ],
  [
    'one that gives no reason in its report',
    {
      report: (honest) => ({
        ...honest,
        features: withOther(honest.features, 'env', { status: 'partial', mechanism: 'm', visibility: 'silent' }),
      }),
    },
    ['report: what is not enforced has a reason and a fix'],
  ],
  [
    'one that reports as enforced what it said it cannot do',
    {
      report: (honest) => ({
        ...honest,
        features: withOther(honest.features, 'env', { status: 'enforced', mechanism: 'm', visibility: 'silent' }),
      }),
    },
    [
      'report: enforces nothing that the probe calls unsupported',
      'requirements: a preferred feature that is unsupported is reported as partial or absent',
    ],
  ],
  [
    'one that ignores requirements',
    { open: (honest, profile, options) => honest(profile, { ...options, requirements: ALL_PREFERRED }) },
    [
      'requirements: a required feature that is unsupported is refused',
      'requirements: a feature that is not mentioned is required',
      'requirements: a word of its own counts as required',
    ],
  ],
  [
    'one that requires only what is said to be required',
    {
      open: (honest, profile, options) => {
        const required = Object.entries(options.requirements ?? {}).filter(([, word]) => word === 'required')
        return honest(profile, { ...options, requirements: { ...ALL_PREFERRED, ...Object.fromEntries(required) } })
      },
    },
    ['requirements: a feature that is not mentioned is required', 'requirements: a word of its own counts as required'],
  ],
  [
    'one that refuses with another code',
    {
      open: (honest, profile, options) =>
        honest(profile, options).catch((error: unknown) => {
          throw Object.assign(new Error(String(error)), { code: 'EPERM' })
        }),
    },
    [
      'requirements: a required feature that is unsupported is refused',
      'requirements: a feature that is not mentioned is required',
      'requirements: a word of its own counts as required',
    ],
  ],
  [
    'one that passes on the environment of this process',
    {
      box: (honest) => ({
        spawn: (command) => {
          const inherited = Object.entries(process.env).flatMap(([name, value]) =>
            value === undefined || !/^[A-Za-z_]\w*$/.test(name) ? [] : [[name, value] as const],
          )
          return honest.spawn({ ...command, env: { ...Object.fromEntries(inherited), ...command.env } })
        },
      }),
    },
    ['spawn: only the variables of the command are there'],
  ],
  [
    'one that expands variables in arguments',
    {
      box: (honest) => ({
        spawn: (command) => {
          if (!Array.isArray(command.args)) return honest.spawn(command)
          const args = command.args.map((text) => (typeof text === 'string' ? text.replaceAll('$HOME', '/root') : text))
          return honest.spawn({ ...command, args })
        },
      }),
    },
    ['spawn: arguments arrive byte for byte'],
  ],
  [
    'one that drops empty arguments',
    {
      box: (honest) => ({
        spawn: (command) =>
          honest.spawn(
            Array.isArray(command.args) ? { ...command, args: command.args.filter((text) => text !== '') } : command,
          ),
      }),
    },
    ['spawn: arguments arrive byte for byte'],
  ],
  [
    'one that drops what goes to stderr',
    {
      box: (honest) => ({
        spawn: async (command) => {
          const child = await honest.spawn(command)
          void child.stderr.cancel().catch(() => undefined)
          return { ...child, stderr: new Blob().stream() as ReadableStream<Uint8Array> }
        },
      }),
    },
    ['spawn: output and errors are two streams'],
  ],
  [
    'one that tells a signal as a shell does',
    {
      box: (honest) => ({
        spawn: async (command) => {
          const child = await honest.spawn(command)
          const exited = child.exited.then(({ code, signal }) =>
            signal === undefined ? { code: code ?? 0 } : { code: 137 },
          )
          return { ...child, exited }
        },
      }),
    },
    [
      'spawn: a signal is told by its name',
      'kill: a running program ends by a signal, and its streams end',
      'kill: an aborted signal kills by itself',
      'kill: what is being started at that moment does not survive',
    ],
  ],
  [
    'one that calls exit 127 a program that is not there',
    {
      box: (honest) => ({
        spawn: async (command) => {
          const child = await honest.spawn(command)
          return { ...child, exited: child.exited.then((status) => (status.code === 127 ? { code: -1 } : status)) }
        },
      }),
    },
    ["spawn: a program's own exit code is told, also 126 and 127"],
  ],
  [
    'one that starts a shell to say that a program is not there',
    {
      box: (honest) => ({
        spawn: (command) =>
          honest.spawn(command).catch((error: unknown) => {
            if ((error as { readonly code?: unknown }).code !== 'ERR_SPAWN_FAILED') throw error
            return honest.spawn({ file: '/bin/sh', args: ['-c', 'exit 127'] })
          }),
      }),
    },
    ['spawn: a program that is not there is ERR_SPAWN_FAILED'],
  ],
  [
    'one that mends commands',
    {
      box: (honest) => ({
        spawn: (command) => {
          const { file, args, ...others } = command
          if (typeof file !== 'string' || !Array.isArray(args)) return honest.spawn(command)
          return honest.spawn({ ...others, file: file.replace(/^\/+/, '/'), args })
        },
      }),
    },
    ['spawn: a command that is none is ERR_COMMAND_INVALID'],
  ],
  [
    'one that gives a program the terminal of this process to read',
    {
      box: (honest) => ({
        spawn: (command) =>
          honest.spawn(command.stdin === undefined ? { ...command, stdin: new Uint8Array([104, 105]) } : command),
      }),
    },
    ['spawn: without stdin there is nothing to read'],
  ],
  [
    'one that reads a command later',
    {
      box: (honest) => ({
        spawn: async (command) => {
          await new Promise((resolve) => setTimeout(resolve, 5))
          return honest.spawn(command)
        },
      }),
    },
    ['spawn: a command is read once, before spawn returns'],
  ],
  [
    'one that counts events from 0',
    { box: (honest) => rewritten(honest, (events) => map(events, (event) => [{ ...event, seq: event.seq - 1 }])) },
    [
      'events: every program is started and exited, numbered from 1 without gaps',
      'events: a program that is killed by close is exited before the end',
      'events: a reader that came first gets them as they happen, and the end',
      'events: what nobody reads is kept or counted, never lost in silence',
    ],
  ],
  [
    'one that loses events in silence',
    {
      box: (honest) => rewritten(honest, (events) => map(events, (event) => (event.seq > 8 ? [] : [event]))),
    },
    ['events: what nobody reads is kept or counted, never lost in silence'],
  ],
  [
    'one that tells of no end',
    {
      box: (honest) => rewritten(honest, (events) => map(events, (event) => (event.type === 'exited' ? [] : [event]))),
    },
    [
      'events: every program is started and exited, numbered from 1 without gaps',
      'events: a program that is killed by close is exited before the end',
      'events: a reader that came first gets them as they happen, and the end',
      'events: what nobody reads is kept or counted, never lost in silence',
    ],
  ],
  [
    'one whose events have many readers',
    {
      box: (honest) => {
        const seen: EnforcerEvent[] = []
        let reading: Promise<void> | undefined
        const read = async (): Promise<void> => {
          for await (const event of honest.events) seen.push(event)
        }
        return {
          events: {
            async *[Symbol.asyncIterator]() {
              reading ??= read()
              await reading
              yield* seen
            },
          },
        }
      },
    },
    ['events: there is one reader'],
  ],
  [
    'one whose events never end',
    {
      box: (honest) =>
        rewritten(honest, async function* (events) {
          yield* events
          await new Promise(() => undefined)
        }),
    },
    [
      'events: every program is started and exited, numbered from 1 without gaps',
      'events: a program that is killed by close is exited before the end',
      'events: a reader that came first gets them as they happen, and the end',
      'events: nothing is told of what was refused',
      'events: there is one reader',
      'events: what nobody reads is kept or counted, never lost in silence',
    ],
  ],
  [
    'one whose kill ends nobody',
    {
      box: () => ({
        kill: async () => ({ enforcement: 'none', outcome: 'unproven', mechanism: '', unreaped: [] }),
      }),
    },
    [
      'kill: a running program ends by a signal, and its streams end',
      'kill: nothing starts afterwards',
      'kill: what is being started at that moment does not survive',
    ],
  ],
  [
    'one whose kill never answers',
    { box: () => ({ kill: () => new Promise(() => undefined) }) },
    [
      'kill: a running program ends by a signal, and its streams end',
      'kill: nothing starts afterwards',
      'kill: what is being started at that moment does not survive',
      'kill: asked for again, at the same time and after close, it answers',
    ],
  ],
  [
    'one that knows no signal',
    { open: (honest, profile, { signal: _, ...options }) => honest(profile, options) },
    ['kill: an aborted signal kills by itself', 'kill: under a signal that is aborted already nothing is opened'],
  ],
  [
    'one that can be closed once',
    {
      box: (honest) => {
        let closed = false
        return {
          close: async () => {
            if (closed) throw new Error('closed already')
            closed = true
            await honest.close()
          },
        }
      },
    },
    ['close: nothing starts afterwards, and to close again does no harm'],
  ],
  [
    'one that has one box for all',
    (() => {
      const boxes: Confinement[] = []
      return {
        box: (honest: Confinement) => {
          boxes.push(honest)
          return {
            close: async () => {
              await Promise.all(boxes.splice(0).map((box) => box.close()))
            },
          }
        },
      }
    })(),
    ['close: ends one confinement and no other'],
  ],
]
