// What a subcommand is, and how its options are read.

import { type ParseArgsConfig, parseArgs } from 'node:util'

/** Where a command writes. Tests give their own. */
export interface Output {
  out(text: string): void
  err(text: string): void
  readonly color: boolean
}

export interface Command {
  readonly name: string
  readonly summary: string
  readonly help: string
  /** Resolves with the exit code. Throws {@link UsageError} for arguments it cannot use. */
  run(args: readonly string[], output: Output): Promise<number>
}

/** The command line cannot be understood. */
export class UsageError extends Error {
  override readonly name: string = 'UsageError'
}

type Options = NonNullable<ParseArgsConfig['options']>

/** Strict option parsing: an unknown option is an error, never a path. */
export function readOptions(
  args: readonly string[],
  options: Options,
): { values: Record<string, unknown>; positionals: string[] } {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true, strict: true })
    return { values: values as Record<string, unknown>, positionals }
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : 'unusable options')
  }
}

/** `name=value` pairs of a repeatable option. */
export function readPairs(values: unknown, option: string): Readonly<Record<string, string>> {
  const pairs: Record<string, string> = Object.create(null) as Record<string, string>
  for (const text of (values ?? []) as readonly string[]) {
    const equals = text.indexOf('=')
    if (equals < 1) throw new UsageError(`--${option} takes name=value`)
    pairs[text.slice(0, equals)] = text.slice(equals + 1)
  }
  return pairs
}

export function readText(value: unknown, option: string): string {
  if (typeof value !== 'string' || value === '') throw new UsageError(`--${option} is needed`)
  return value
}
