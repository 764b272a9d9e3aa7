// docs/manifest.md says what is true: its manifests load, and its tables are complete.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'

import type { DocumentFormat } from '../../src/core/document.ts'
import { INPUT_FORMATS } from '../../src/core/json-schema/input-schema.ts'
import { LIMITS } from '../../src/core/limits.ts'
import { manifestJsonSchema } from '../../src/manifest/schema.ts'
import { ManifestValidator } from '../../src/manifest/validator.ts'

const page = readFileSync(new URL('../../docs/manifest.md', import.meta.url), 'utf8')

describe('docs/manifest.md', () => {
  const blocks = [...page.matchAll(/^```(json|yaml|toml) manifest\n(.*?)^```$/gms)]

  test('has examples in every format', () => {
    expect(new Set(blocks.map(([, format]) => format))).toEqual(new Set(['json', 'yaml', 'toml']))
  })

  test.each(blocks.map(([, format = '', text = '']) => [format, text]))(
    '%s example loads without a warning',
    (format, text) => {
      const result = new ManifestValidator().validate({
        file: `manifest.${format}`,
        format: format as DocumentFormat,
        text,
      })
      expect(result).toMatchObject({ ok: true, warnings: [] })
    },
  )

  test('lists every key, format and bound', () => {
    const keys = Object.keys(manifestJsonSchema()['properties'] as object)
    expect(keys.filter((key) => !page.includes(`\n| \`${key}\` |`))).toEqual([])
    expect(INPUT_FORMATS.filter((format) => !page.includes(`\`${format}\``))).toEqual([])
    for (const bound of [
      LIMITS.resources,
      LIMITS.manifestTools,
      LIMITS.schemaValues,
      LIMITS.manifestSchemaValues,
      LIMITS.schemaWidth,
      LIMITS.patternLength,
    ]) {
      expect(page).toContain(bound.toLocaleString('en'))
    }
  })
})
