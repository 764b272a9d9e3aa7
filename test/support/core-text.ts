// Random texts for the parsers of src/core: half of them noise, half made of the pieces that such parsers trip over.

import fc from 'fast-check'

const PIECES = [
  ...'azA09.:/\\@?#%[]()*!{}-_~ \t\n\0&=+,;\'"^`|<>$',
  ...[
    '..',
    '//',
    '**',
    '%2e',
    '%2F',
    '%5c',
    '%00',
    '%25',
    '%252e',
    'xn--',
    'xn--zca',
    '0x',
    '0177',
    '127.0.0.1',
    '::1',
  ],
  ...[
    'http://',
    'https://',
    'HTTP:',
    'ws://',
    'file:',
    'example.com',
    ':443',
    ':0443',
    '/8',
    '/srv',
    '.env',
    '[!',
    '[a-z]',
  ],
  ...[
    '\u00df',
    'ü',
    'u\u0308',
    '\u0430',
    '。',
    '①',
    'ｅ',
    '\u200d',
    '\u202e',
    '\ufeff',
    '\u00a0',
    '\u2028',
    '\ud800',
    '😀',
    '\u2025',
    '\u0131',
  ],
]

/** Text that is likely to be nearly valid for a host, URL, path or pattern, and is sometimes any text at all. */
export const hostileText: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.array(fc.constantFrom(...PIECES), { maxLength: 12 }).map((pieces) => pieces.join('')) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 24 }) },
)
