// Bounds on what is started for a call, as documents write them and as an enforcer holds them. Two statements about the
// same process never add up: of each kind the lower holds.

/** Absent means no limit of this kind. */
export interface ProcessLimits {
  /** Milliseconds from start to kill. */
  readonly wallMs?: number
  readonly memoryBytes?: number
  /** Processes and threads alive at the same time. */
  readonly processes?: number
}

/** `limits:` of a manifest or of a policy rule. */
export interface RawProcessLimits {
  readonly wall_ms?: number | undefined
  readonly memory_mb?: number | undefined
  readonly processes?: number | undefined
}

/** The highest values a document may write. A higher one could not be kept and would look as if it were. */
export const MOST = {
  /** A timer of JavaScript that is set for longer goes off at once. */
  wall_ms: 2 ** 31 - 1,
  /** 8 PiB less one, the most whose number of bytes is still an exact number. */
  memory_mb: 2 ** 33 - 1,
  /** PID_MAX_LIMIT of Linux. */
  processes: 2 ** 22,
} as const

const KEYS = ['wallMs', 'memoryBytes', 'processes'] as const

export const NO_LIMITS: ProcessLimits = Object.freeze({})

/** Of numbers that were checked to be positive, whole and at most {@link MOST}. */
export function readProcessLimits({ wall_ms, memory_mb, processes }: RawProcessLimits): ProcessLimits {
  return Object.freeze({
    ...(wall_ms === undefined ? {} : { wallMs: wall_ms }),
    ...(memory_mb === undefined ? {} : { memoryBytes: memory_mb * 1024 * 1024 }),
    ...(processes === undefined ? {} : { processes }),
  })
}

/** Of each kind the lower. Throws `TypeError` for a limit that is not a positive whole number. */
export function lowerLimits(a: ProcessLimits, b: ProcessLimits): ProcessLimits {
  const limits: { -readonly [K in keyof ProcessLimits]: ProcessLimits[K] } = {}
  for (const key of KEYS) {
    for (const limit of [a[key], b[key]]) {
      if (limit === undefined) continue
      if (!(Number.isSafeInteger(limit) && limit > 0))
        throw new TypeError(`limit ${key} must be a positive whole number`)
      limits[key] = Math.min(limit, limits[key] ?? limit)
    }
  }
  return Object.freeze(limits)
}
