// A file that a skill may write and then run is a program of the skill's own choice, whatever the list of programs says.
// So nothing that may be run or mapped as code may be writable, and in doubt it counts as writable.

import { pathPatternsMayMeet } from '../core/path-overlap.ts'
import { type PathPattern, pathMatches } from '../core/path-pattern.ts'
import type { Placed, Section } from './section.ts'

/** Comparisons of one manifest; more would let a long document take minutes. */
const PAIRS = 1_000_000

export interface WrittenAndRun {
  readonly writable_paths: readonly Placed<PathPattern>[]
  readonly executable_paths: readonly Placed<PathPattern>[]
  readonly allowed_libraries: readonly Placed<PathPattern>[]
  readonly allowed_binaries: readonly Placed<string>[]
}

/** Reports each entry of the lists of code that an entry of `writable_paths` may meet. */
export function checkWriteOrExecute(root: Section, lists: WrittenAndRun): void {
  const { writable_paths, executable_paths, allowed_libraries, allowed_binaries } = lists
  const code = executable_paths.length + allowed_libraries.length + allowed_binaries.length
  if (code * writable_paths.length > PAIRS) {
    root.report('too_large', ['writable_paths'], 'too many patterns to compare with those of programs and libraries', {
      on: 'key',
      hint: 'write fewer and wider patterns',
    })
    return
  }
  const check = <T>(key: string, list: readonly Placed<T>[], meets: (writable: PathPattern, value: T) => boolean) => {
    for (const { value, index } of list) {
      const writable = writable_paths.find((one) => meets(one.value, value))
      if (writable === undefined) continue
      const message = `what may be run or loaded may not be writable, and writable_paths[${writable.index}] may cover it`
      root.report('contradiction', [key, index], message, {
        hint: 'take it out of writable_paths, or keep programs in a directory that is not writable',
      })
    }
  }
  check('executable_paths', executable_paths, pathPatternsMayMeet)
  check('allowed_libraries', allowed_libraries, pathPatternsMayMeet)
  check('allowed_binaries', allowed_binaries, pathMatches)
}
