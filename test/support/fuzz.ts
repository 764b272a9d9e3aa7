// How many random cases a property gets: a fixed share in `npm test`, more when AGENTPORT_FUZZ_RUNS multiplies it.

const factor = Number(process.env['AGENTPORT_FUZZ_RUNS'] ?? '1')

/** `base` cases, times AGENTPORT_FUZZ_RUNS. */
export function fuzzRuns(base: number): number {
  if (!(factor > 0)) throw new TypeError('AGENTPORT_FUZZ_RUNS is not a positive number')
  return Math.max(1, Math.round(base * factor))
}
