// A SKILL.md asks for what it states and nothing more, and one that two readers could take differently is refused.

import { describe, expect, test } from 'vitest'

import { LIMITS } from '../../../src/core/limits.ts'
import { FRONT_MATTER_LENGTH } from '../../../src/manifest/import/front-matter.ts'
import type { Imported } from '../../../src/manifest/import/imported.ts'
import { importSkillMarkdown } from '../../../src/manifest/import/skill-markdown.ts'
import { ManifestValidator } from '../../../src/manifest/validator.ts'

const file = 'SKILL.md'
const read = (text: string): Imported => importSkillMarkdown({ file, text })
const skill = (...lines: readonly string[]): Imported => read(`---\nname: notes\n${lines.join('\n')}\n---\n\n# Notes\n`)

type Loaded = Imported & { readonly ok: true }

function loaded(imported: Imported): Loaded {
  if (!imported.ok) throw new Error(imported.problems.map(({ message }) => message).join('; '))
  return imported
}

function problems(imported: Imported): readonly string[] {
  if (imported.ok) throw new Error('it was imported')
  return imported.problems.map(({ line, column, code }) => `${line}:${column} ${code}`)
}

const todos = (imported: Imported): readonly string[] =>
  loaded(imported).todo.map(({ pointer, line, column, what }) => `${line}:${column} ${pointer} ${what}`)

const GRANTS = [
  'allowed_hosts',
  'readable_paths',
  'writable_paths',
  'allowed_binaries',
  'executable_paths',
  'process_rights',
  'tools',
  'tool_scope',
]

describe('what is taken', () => {
  test('name, version, description and the variables that are stated as needed', () => {
    const imported = loaded(
      skill(
        'description: "Finds notes: quickly."',
        'version: 1.2.0',
        'metadata:',
        '  openclaw: { primaryEnv: NOTES_KEY, requires: { bins: [rg], anyBins: [bat, less], env: [NOTES_DIR, NOTES_KEY] } }',
      ),
    )
    expect(imported.manifest).toEqual({
      skill: 'notes',
      version: '1.2.0',
      description: 'Finds notes: quickly.',
      file_access: 'none',
      binary_access: 'none',
      allowed_env: ['NOTES_DIR', 'NOTES_KEY'],
    })
    expect(imported.warnings).toEqual([])
    const manifest = new ManifestValidator().load({ name: file, value: imported.manifest })
    expect(manifest.allowedEnv).toEqual(['NOTES_DIR', 'NOTES_KEY'])
    expect(todos(imported).filter((one) => one.includes('/allowed_binaries'))).toEqual([
      '6:57 /allowed_binaries write the absolute path of rg, and binary_access: listed',
      '6:72 /allowed_binaries write the absolute path of bat, and binary_access: listed',
      '6:77 /allowed_binaries write the absolute path of less, and binary_access: listed',
    ])
  })

  test.each([
    ['openclaw', 'metadata: {"openclaw":{"requires":{"env":["A_B"]}}}'],
    ['an earlier name', 'metadata: {"clawdbot":{"requires":{"env":["A_B"]}}}'],
    [
      'JSON over lines, with trailing commas',
      'metadata:\n  {\n    "openclaw":\n      {\n        "requires": { "env": ["A_B"] },\n      },\n  }',
    ],
    ['a block', 'metadata:\n  openclaw:\n    requires:\n      env:\n        - A_B'],
    ['one text of JSON', `metadata: '{"openclaw":{"requires":{"env":["A_B"]}}}'`],
  ])('metadata written as %s', (_, text) => {
    expect(loaded(skill('description: x', text)).manifest['allowed_env']).toEqual(['A_B'])
  })

  test('a version below metadata, as AgentSkills has it', () => {
    expect(loaded(skill('metadata: { version: "2.1", author: someone }')).manifest).toMatchObject({ version: '2.1' })
    // 1.0 would be 1 from here on.
    const number = loaded(skill('version: 1.0'))
    expect(number.manifest).not.toHaveProperty('version')
    expect(todos(number)).toContain('3:10 /version write version as text')
  })

  test('another name, when one is given', () => {
    const named = importSkillMarkdown({ file, text: '---\nname: My Notes\n---\n' }, { skill: 'my_notes' })
    expect(loaded(named).manifest['skill']).toBe('my_notes')
    expect(problems(read('---\nname: My Notes\n---\n'))).toEqual(['2:7 invalid_value'])
    expect(() => importSkillMarkdown({ file, text: '' }, { skill: 'no name' })).toThrow(TypeError)
  })
})

describe('what is not taken', () => {
  test('nothing but variables is ever granted', () => {
    const everything = skill(
      'description: x',
      'homepage: https://notes.example.com',
      'allowed-tools: Bash(curl:*), Read, Write',
      'command-dispatch: tool',
      'command-tool: exec',
      'allowed_hosts: ["*"]',
      'tools: [{ name: exec }]',
      'metadata:',
      '  openclaw:',
      '    always: true',
      '    requires: { bins: [bash, curl], config: [tools.exec], hosts: ["*"], paths: [/] }',
      '    install: [{ id: get, kind: download, url: "https://get.example.com/x.sh" }]',
    )
    const { manifest } = loaded(everything)
    expect(GRANTS.filter((key) => Object.hasOwn(manifest, key))).toEqual([])
    expect(manifest).not.toHaveProperty('allowed_env')
    expect(todos(everything).join('\n')).toMatch(
      /install what the skill needs[\s\S]*among them exec[\s\S]*allowed-tools/,
    )
  })

  test.each(['LD_PRELOAD', 'PATH', 'NODE_OPTIONS', 'PYTHONPATH', 'BASH_ENV', 'GIT_SSH_COMMAND', 'HTTPS_PROXY'])(
    '%s steers what runs, and is left to the author',
    (name) => {
      const imported = skill(`metadata: { openclaw: { requires: { env: [${name}, SAFE] } } }`)
      expect(loaded(imported).manifest['allowed_env']).toEqual(['SAFE'])
      expect(loaded(imported).todo).toContainEqual(
        expect.objectContaining({ pointer: '/allowed_env', suggestion: name }),
      )
    },
  )

  test.each([
    ['not names', 'requires: { env: ["A B", "A=B", "", "Ä"] }', 4],
    ['not texts', 'requires: { env: [1] }', 1],
    ['an object', 'requires: { env: { A: 1 } }', 1],
    ['not programs', 'requires: { bins: 7 }', 1],
  ])('%s', (_, text, warnings) => {
    const imported = loaded(skill(`metadata: { openclaw: { ${text} } }`))
    expect(imported.manifest).not.toHaveProperty('allowed_env')
    expect(imported.warnings).toHaveLength(warnings)
    expect(imported.warnings.every(({ line, severity }) => line === 3 && severity === 'warning')).toBe(true)
  })

  test('requirements below a name that is not read are not lost in silence', () => {
    const imported = loaded(skill('metadata: { clawfork: { requires: { env: [A] } } }'))
    expect(imported.warnings).toMatchObject([{ code: 'unknown_key', pointer: '/metadata/clawfork' }])
    const both = loaded(
      skill('metadata: { openclaw: { requires: { env: [A] } }, clawdbot: { requires: { env: [B] } } }'),
    )
    expect(both.manifest['allowed_env']).toEqual(['A'])
    expect(both.warnings).toMatchObject([{ code: 'contradiction', pointer: '/metadata/clawdbot' }])
  })

  test('a reference in the text stays text', () => {
    const imported = loaded(skill('description: "uses ${API_TOKEN} and $${this}"'))
    const validator = new ManifestValidator({ variables: { API_TOKEN: 'the-secret' } })
    const manifest = validator.load({ name: file, value: imported.manifest })
    expect(manifest.description).toBe('uses ${API_TOKEN} and $${this}')
    // Control: taken as it is, the publisher's text would be filled in from the operator's variables.
    const naive = validator.load({ name: file, value: { skill: 'notes', description: 'uses ${API_TOKEN}' } })
    expect(naive.description).toBe('uses the-secret')
  })

  test('hidden characters and what is too long', () => {
    const tag = [...'run rm'].map((letter) => `\\U000E00${letter.charCodeAt(0).toString(16)}`).join('')
    const hidden = loaded(skill(`description: "safe${tag} text"`))
    expect(hidden.manifest['description']).toBe('safe text')
    expect(hidden.warnings).toMatchObject([{ code: 'invalid_value', line: 3 }])
    const long = loaded(skill(`description: ${'😀'.repeat(5000)}`))
    expect(long.manifest['description']).toHaveLength(8192)
    expect(loaded(skill(`description: ${'x'.repeat(8191)}😀`)).manifest['description']).toBe('x'.repeat(8191))
  })

  test('names from the prototype are nothing that was written', () => {
    for (const key of ['constructor', 'toString', 'hasOwnProperty']) {
      const imported = loaded(skill(`${key}: x`, `metadata: { ${key}: { requires: { env: [A] } } }`))
      expect(imported.manifest).not.toHaveProperty('allowed_env')
    }
    expect(problems(skill('__proto__: { a: b }'))).toEqual(['3:1 forbidden_key'])
  })
})

describe('the front matter', () => {
  test.each([
    ['line feeds', '---\nname: notes\n---\nbody'],
    ['CRLF', '---\r\nname: notes\r\n---\r\nbody'],
    ['blanks behind the markers', '---  \nname: notes\n---\t\nbody'],
    ['no body', '---\nname: notes\n---'],
    ['more rules in the body', '---\nname: notes\n---\na\n\n---\n\nb: [\n---\n'],
    ['any body at all', '---\nname: notes\n---\n\0\u202e${x} {{{ *alias'],
    ['a marker inside a text', '---\nname: notes\ndescription: |\n  ---\n  a\n---\n'],
  ])('%s', (_, text) => {
    expect(loaded(read(text)).manifest['skill']).toBe('notes')
  })

  test('a byte order mark is passed over, and told', () => {
    const imported = loaded(read('\ufeff---\nname: notes\nversion: 7\n---\n'))
    expect(imported.warnings).toMatchObject([{ message: 'the file begins with a byte order mark' }])
    expect(imported.todo[0]).toMatchObject({ pointer: '/version', line: 3, column: 10 })
  })

  test.each([
    ['nothing', '', '1:1 syntax_error'],
    ['no front matter', '# Notes\n\nname: notes\n', '1:1 syntax_error'],
    ['a line in front', '\n---\nname: notes\n---\n', '1:1 syntax_error'],
    ['no end', '---\nname: notes\n', '1:1 syntax_error'],
    ['no end, and no line', '---', '1:1 syntax_error'],
    ['a marker that goes on', '---\nname: notes\n---x\nname: other\n---\n', '3:1 syntax_error'],
    ['a marker with a comment', '---\nname: notes\n--- # end\n---\n', '3:1 syntax_error'],
    ['the other end marker', '---\nname: notes\n...\nother: x\n', '1:1 syntax_error'],
    ['text behind the first marker', '--- name: notes\n---\n', '1:1 syntax_error'],
    ['a lone carriage return', '---\nname: notes\rversion: x\n---\n', '2:12 syntax_error'],
    ['a list', '---\n- name: notes\n---\n', '2:1 wrong_type'],
    ['no keys', '---\n# nothing\n---\n', '1:1 wrong_type'],
    ['no name', '---\ndescription: x\n---\n', '2:1 missing_key'],
    ['a name twice', '---\nname: notes\nname: other\n---\n', '3:1 duplicate_key'],
    ['an anchor', '---\nname: &a notes\n---\n', '2:10 unsupported_syntax'],
    ['a colon in a text', '---\nname: notes\ndescription: Use when: asked\n---\n', '3:14 syntax_error'],
    ['JSON at the edge', '---\nname: notes\nmetadata:\n{\n  "openclaw": {}\n}\n---\n', '4:1 syntax_error'],
    ['a character that reorders', '---\nname: notes\ndescription: a\u202eb\n---\n', '3:15 syntax_error'],
    ['half of a pair', '---\nname: notes\ndescription: \ud800\n---\n', '3:14 syntax_error'],
  ])('%s is refused at its place', (_, text, place) => {
    expect(problems(read(text))).toEqual([place])
  })

  test('what YAML does not take is answered with the mend', () => {
    const imported = read('---\nname: notes\ndescription: Use when: asked\n---\n')
    expect(imported).toMatchObject({ ok: false, problems: [{ hint: expect.stringContaining('double quotes') }] })
  })

  test('its size is bounded, that of the body is not', () => {
    const body = 'x'.repeat(LIMITS.documentLength + 1)
    expect(loaded(read(`---\nname: notes\n---\n${body}`)).manifest['skill']).toBe('notes')
    expect(problems(read(`---\nname: notes\n# ${'x'.repeat(FRONT_MATTER_LENGTH)}\n---\n`))).toEqual([
      '1:1 syntax_error',
    ])
    expect(problems(read(`---\n${body}`))).toEqual(['1:1 syntax_error'])
    expect(problems(read(`---\n${'\n'.repeat(FRONT_MATTER_LENGTH + 9)}---\n`))).toEqual(['1:1 syntax_error'])
    const nested = `${'{a: '.repeat(LIMITS.depth + 1)}1${'}'.repeat(LIMITS.depth + 1)}`
    expect(problems(skill(`x: ${nested}`))[0]).toContain('too_deep')
  })

  test('misuse', () => {
    expect(() => importSkillMarkdown({ file, text: 7 as unknown as string })).toThrow(TypeError)
  })
})
