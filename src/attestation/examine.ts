// Looks a bundle over before anybody vouches for it: bounds, names, the one manifest, and what the bytes hash to. Every
// later check compares with what was found here; the bundle is read once.

import { LIMITS } from '../core/limits.ts'
import { formatProblems } from '../core/problem.ts'
import { isName } from '../core/text.ts'
import {
  decodeUtf8,
  ENVELOPE_FILE,
  findManifest,
  readIdentity,
  type SkillBundle,
  type SkillFile,
  type SkillIdentity,
} from './bundle.ts'
import { type ListedFile, listFiles } from './file-list.ts'
import { nameFaults } from './names.ts'
import { gitTree } from './tree.ts'

export interface ExaminedSkill {
  readonly identity: SkillIdentity
  readonly files: readonly ListedFile[]
  readonly manifestPath: string
  readonly gitTree: string
  /** `sha256:` and {@link gitTree}. */
  readonly digest: string
  /** Text of the attestation, unread. */
  readonly envelope?: string
}

export type Examined =
  | { readonly ok: true; readonly skill: ExaminedSkill }
  | { readonly ok: false; readonly reason: string }

export function examineBundle(bundle: SkillBundle): Examined {
  const { name, attestation } = bundle
  const { file, text, format } = bundle.manifest
  if (!isName(name)) return refuse('the skill has no usable name')
  const copied = copyFiles(bundle.files)
  if (!copied.ok) return copied
  const { files } = copied
  // The attestation's own name is taken: a file that some file system would put in its place is refused with the rest.
  const faults = nameFaults([ENVELOPE_FILE, ...files.map((file) => file.path)])
  const [fault] = faults
  if (fault !== undefined) {
    return refuse(`${fault.path}: ${fault.reason}${faults.length > 1 ? ` (and ${faults.length - 1} more)` : ''}`)
  }

  const found = findManifest(files.map((file) => file.path))
  if (!found.ok) return refuse(`the skill ${found.reason}`)
  const bytes = files.find((file) => file.path === found.path)?.bytes
  // The text that will be read as the manifest must be the bytes that were signed, not a copy taken at another time.
  if (bytes === undefined || decodeUtf8(bytes) !== text) {
    return refuse(`the manifest text is not what ${found.path} holds`)
  }
  const read = readIdentity({ file, text, ...(format === undefined ? {} : { format }) })
  if (!read.ok) {
    return refuse(`the manifest cannot be read: ${formatProblems(read.problems.slice(0, 1)).split('\n')[0]}`)
  }
  if (read.identity.skill !== name) return refuse(`the manifest is of skill ${read.identity.skill}, not of ${name}`)

  const tree = gitTree(files)
  return {
    ok: true,
    skill: {
      identity: read.identity,
      files: listFiles(files),
      manifestPath: found.path,
      gitTree: tree,
      digest: `sha256:${tree}`,
      ...(attestation === undefined ? {} : { envelope: attestation }),
    },
  }
}

type Copied =
  | { readonly ok: true; readonly files: readonly SkillFile[] }
  | { readonly ok: false; readonly reason: string }

// Each member is read once, so that no getter can show one file to the hash and another to the list.
function copyFiles(given: readonly SkillFile[]): Copied {
  if (!Array.isArray(given)) return refuse('the skill has no list of files')
  if (given.length > LIMITS.skillFiles) return refuse(`the skill has more than ${LIMITS.skillFiles} files`)
  const files: SkillFile[] = []
  let size = 0
  for (const file of given as readonly Partial<SkillFile>[]) {
    const { path, executable, bytes } = file
    if (typeof path !== 'string' || typeof executable !== 'boolean' || !(bytes instanceof Uint8Array)) {
      return refuse('a file of the skill has no path, mode or bytes')
    }
    size += bytes.length
    if (size > LIMITS.skillBytes) return refuse(`the skill is larger than ${LIMITS.skillBytes} bytes`)
    files.push({ path, executable, bytes })
  }
  return { ok: true, files }
}

function refuse(reason: string): { readonly ok: false; readonly reason: string } {
  return { ok: false, reason }
}
