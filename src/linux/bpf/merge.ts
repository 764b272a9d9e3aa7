// Two sets of programs as one object for the launcher, which loads one.

import type { BpfObject } from '../box.ts'

/** Maps of `second` come after those of `first`, and its programs are told so. */
export function mergeBpf(first: BpfObject, second: BpfObject): BpfObject {
  const shift = first.maps.length
  return Object.freeze({
    maps: Object.freeze([...first.maps, ...second.maps]),
    programs: Object.freeze([
      ...first.programs,
      ...second.programs.map((program) => ({
        ...program,
        relocations: program.relocations.map(({ instruction, map }) => ({ instruction, map: map + shift })),
      })),
    ]),
  })
}
