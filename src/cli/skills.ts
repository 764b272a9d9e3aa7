// `agentport keygen`, `sign` and `digest`: what a publisher does to a skill before anyone runs it.

import { examineBundle } from '../attestation/examine.ts'
import { generateKeyPair, loadKey, writeKey } from '../node/key-file.ts'
import { signSkill } from '../node/sign.ts'
import { readSkillDirectory } from '../node/skill-directory.ts'
import { type Command, readOptions, readText, UsageError } from './command.ts'

export const keygen: Command = {
  name: 'keygen',
  summary: 'make a publisher key',
  help: `Usage: agentport keygen <file> [--json]

Writes a new Ed25519 private key to <file> (mode 0600, never over an existing file) and prints the public key, which goes
into the trust document of whoever shall trust it:

  publishers:
    - { name: acme, keys: ["<public key>"], skills: ["acme_*"] }`,
  run: async (args, output) => {
    const { values, positionals } = readOptions(args, { json: { type: 'boolean' } })
    const [file, ...more] = positionals
    if (file === undefined || more.length > 0) throw new UsageError('name one file for the private key')
    const pair = generateKeyPair()
    writeKey(file, pair.seed)
    output.out(values['json'] === true ? JSON.stringify({ file, publicKey: pair.publicKey }) : pair.publicKey)
    return 0
  },
}

export const sign: Command = {
  name: 'sign',
  summary: 'sign a skill directory',
  help: `Usage: agentport sign <directory> --key <file> --publisher <name> --sequence <n> [options]

Writes skill.attestation.json: a signed statement of every file in the directory.

  --key file         private key made by agentport keygen
  --publisher name   who signs; the name in the trust document
  --sequence n       higher than that of every earlier release of the skill
  --version text     when the manifest has no version
  --expires time     RFC 3339 in UTC; never when absent
  --json             print the result as JSON`,
  run: async (args, output) => {
    const { values, positionals } = readOptions(args, {
      key: { type: 'string' },
      publisher: { type: 'string' },
      sequence: { type: 'string' },
      version: { type: 'string' },
      expires: { type: 'string' },
      json: { type: 'boolean' },
    })
    const [directory, ...more] = positionals
    if (directory === undefined || more.length > 0) throw new UsageError('name one skill directory')
    const sequence = readText(values['sequence'], 'sequence')
    if (!/^[0-9]{1,15}$/.test(sequence)) throw new UsageError('--sequence is a whole number')
    const { version, expires } = values
    const signed = signSkill(directory, {
      seed: loadKey(readText(values['key'], 'key')).seed,
      publisher: readText(values['publisher'], 'publisher'),
      sequence: Number(sequence),
      ...(typeof version === 'string' ? { version } : {}),
      ...(typeof expires === 'string' ? { expires } : {}),
    })
    output.out(
      values['json'] === true
        ? JSON.stringify(signed)
        : `✓ ${signed.publisher}/${signed.skill}@${signed.version} ${signed.digest}\n  ${signed.path}`,
    )
    return 0
  },
}

export const digest: Command = {
  name: 'digest',
  summary: 'print the digest of a skill directory, to be pinned in a trust document',
  help: `Usage: agentport digest <directory> [--json]

Prints sha256: and the git tree id (SHA-256) of all files but skill.attestation.json. To trust exactly these bytes:

  pinned:
    - { skill: <name>, digest: "sha256:…" }`,
  run: async (args, output) => {
    const { values, positionals } = readOptions(args, { json: { type: 'boolean' } })
    const [directory, ...more] = positionals
    if (directory === undefined || more.length > 0) throw new UsageError('name one skill directory')
    const examined = examineBundle(readSkillDirectory(directory))
    if (!examined.ok) throw new UsageError(examined.reason)
    const text = `sha256:${examined.skill.gitTree}`
    output.out(values['json'] === true ? JSON.stringify({ skill: examined.skill.identity.skill, digest: text }) : text)
    return 0
  },
}
