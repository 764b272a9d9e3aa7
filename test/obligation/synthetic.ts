// Made-up secrets, put together when the tests run: no scanner of this repository finds one in its text.

import { SECRET_FORMS } from '../../src/obligation/secret-forms.ts'

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
const HEX = '0123456789abcdef'

/** `length` characters, always the same ones, with a digit among the first. */
export function filler(length: number, from: string = LETTERS): string {
  let text = ''
  let state = 7
  while (text.length < length) {
    state = (state * 1103515245 + 12345) % 2147483648
    text += text.length === 3 ? (from.match(/[0-9]/)?.[0] ?? from[0]) : from[(state >> 8) % from.length]
  }
  return text
}

const join = (...parts: readonly string[]): string => parts.join('')

/** By id of the form: what a token of its publisher looks like. */
export const TOKENS: Readonly<Record<string, readonly string[]>> = {
  'aws-access-key': [
    join('AK', 'IA', filler(16, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567')),
    join('AS', 'IA', 'Z2'.repeat(8)),
  ],
  'github-token': ['p', 'o', 'u', 's', 'r'].map((kind) => join('gh', kind, '_', filler(36))),
  'github-fine-grained-token': [join('github', '_pat_', filler(22), '_', filler(59))],
  'gitlab-token': [
    join('gl', 'pat-', filler(20)),
    join('gl', 'pat-', filler(27), '.01.', filler(9)),
    join('gl', 'rt-', filler(20)),
  ],
  'slack-token': [
    join('xo', 'xb-', filler(12, '0123456789'), '-', filler(12, '0123456789'), '-', filler(24)),
    join('xa', 'pp-1-', filler(11), '-', filler(13, '0123456789'), '-', filler(64, HEX)),
  ],
  'slack-webhook': [join('hooks.slack', '.com/services/T', filler(10), '/B', filler(10), '/', filler(24))],
  'discord-webhook': [join('discord', '.com/api/webhooks/', filler(18, '0123456789'), '/', filler(68))],
  'stripe-key': [join('sk', '_live_', filler(24)), join('rk', '_test_', filler(99)), join('wh', 'sec_', filler(32))],
  'google-api-key': [join('AI', 'za', filler(35))],
  'google-oauth-token': [join('ya', '29.', filler(120), '-_', filler(20))],
  'google-client-secret': [join('GOC', 'SPX-', filler(28))],
  'sk-key': [
    join('s', 'k-', filler(20), 'T3Blbk', 'FJ', filler(20)),
    join('s', 'k-proj-', filler(74), 'T3Blbk', 'FJ', filler(74)),
    join('s', 'k-ant-', 'api03-', filler(93), 'AA'),
  ],
  'xai-key': [join('xa', 'i-', filler(80))],
  'groq-key': [join('gs', 'k_', filler(52))],
  'perplexity-key': [join('pp', 'lx-', filler(48))],
  'hugging-face-token': [join('h', 'f_', filler(34))],
  'npm-token': [join('np', 'm_', filler(36))],
  'pypi-token': [join('py', 'pi-', 'AgEIcHlwaS5vcmc', filler(120))],
  'docker-token': [join('dckr', '_pat_', filler(27))],
  'sendgrid-key': [join('S', 'G.', filler(22), '.', filler(43))],
  'twilio-key': [join('S', 'K', filler(32, HEX))],
  'telegram-bot-token': [join('7204583149', ':A', 'A', filler(33)), join('110201543', ':A', 'A', filler(33))],
  'azure-client-secret': [join('a~B', '8', 'Q', '~', filler(34))],
  'databricks-token': [join('da', 'pi', filler(32, HEX))],
  'digitalocean-token': [join('do', 'p_v1_', filler(64, HEX))],
  'shopify-token': [join('shp', 'at_', filler(32, HEX))],
  'vault-token': [join('hv', 's.', filler(90))],
  'grafana-token': [join('gl', 'sa_', filler(32), '_', filler(8, HEX))],
  'linear-key': [join('lin', '_api_', filler(40))],
  'notion-token': [join('nt', 'n_', filler(46))],
  'json-web-token': [
    join('ey', 'J', filler(33), '.', 'ey', 'J', filler(60), '.', filler(43)),
    // Encrypted, with the key given directly: the second part is empty (RFC 7516 §7.1).
    join('ey', 'J', filler(33), '..', filler(16), '.', filler(60), '.', filler(22)),
  ],
  'age-secret-key': [join('AGE-SECRET', '-KEY-1', filler(58, 'QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L'))],
  'openssh-private-key': [join('b3BlbnNza', 'C1rZXktdjE', filler(300))],
}

export const ALL_TOKENS: readonly string[] = SECRET_FORMS.flatMap(({ id }) => TOKENS[id] ?? [])

const block = (label: string, dashes = '-----', space = ''): string =>
  join(
    dashes,
    space,
    'BEGIN ',
    label,
    space,
    dashes,
    '\n',
    filler(64),
    '\n',
    filler(40),
    '==\n',
    dashes,
    space,
    'END ',
    label,
    space,
    dashes,
  )

export const PRIVATE_KEYS: readonly string[] = [
  ...['PRIVATE KEY', 'RSA PRIVATE KEY', 'EC PRIVATE KEY', 'ENCRYPTED PRIVATE KEY', 'OPENSSH PRIVATE KEY'].map((label) =>
    block(label),
  ),
  block('PGP PRIVATE KEY BLOCK'),
  block('SSH2 ENCRYPTED PRIVATE KEY', '----', ' '),
]

/** Texts, and the part of each that must not be left. */
export const IN_CONTEXT: readonly (readonly [text: string, secret: string])[] = [
  ['password=hunter2', 'hunter2'],
  ['DB_PASSWORD="correct horse battery staple"', 'correct horse battery staple'],
  ['export AWS_SECRET_ACCESS_KEY=wJalr/K7MDENG+bPxRfi', 'wJalr/K7MDENG+bPxRfi'],
  ['{"password": "hunter2", "user": "bob"}', 'hunter2'],
  ['{\\"api_key\\":\\"k3y-of-the-house\\"}', 'k3y-of-the-house'],
  ["client_secret: 'abc'", 'abc'],
  ['passwd: hunter22', 'hunter22'],
  ['apiKey := "x1"', 'x1'],
  ["{ :secret => 's3same-open' }", 's3same-open'],
  ['Server=db;User Id=sa;Pwd=Pa55word!;', 'Pa55word!'],
  [`AccountName=a;AccountKey=${filler(86)}==;EndpointSuffix=core`, filler(86)],
  [`https://a.blob.example/c?sv=2022&sig=${filler(43)}%3D&se=1`, filler(43)],
  [`https://example.com/cb?access_token=${filler(24)}&state=1`, filler(24)],
  [`token=${filler(32, HEX)}`, filler(32, HEX)],
  ['postgres://admin:p@ss:w0rd@db.example.com:5432/x', 'p@ss:w0rd'],
  ['git clone https://user:s3cr3t@example.com/r.git', 's3cr3t'],
  ['redis://:only-a-password@cache:6379', 'only-a-password'],
  [`Authorization: Bearer ${filler(24)}`, filler(24)],
  ['Authorization: Basic dXNlcjpwYXNzd29yZA==', 'dXNlcjpwYXNzd29yZA'],
  [`curl -H "authorization: token ${filler(40, HEX)}"`, filler(40, HEX)],
  [`use the bearer ${filler(30)} for it`, filler(30)],
]

/** What looks a little like a secret and is none. */
export const INNOCENT: readonly string[] = [
  '123e4567-e89b-12d3-a456-426614174000',
  'da39a3ee5e6b4b0d3255bfef95601890afd80709',
  `sha256:${filler(64, HEX)}`,
  `sha512-${filler(86)}==`,
  `data:image/png;base64,iVBORw0KGgoAAAANSUhEUg${filler(400)}`,
  'Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft',
  'risk-based-authentication-for-2025-and-later-years',
  'task-0123456789012345678901234567890',
  'the class sk-folding-cube-wrapper-of-the-loader',
  'password: the password of the user, required',
  'Enter your password: ********',
  'The secret: kindness.',
  'max_tokens=4096 total_tokens: 12345 token_type: word',
  'next_page_token=CAUQAA1234567890abcdef',
  'PWD=/home/bob/work OLDPWD=/home/bob',
  "/etc/passwd: 'root:x:0:0:root:/root:/bin/bash'",
  'https://example.com:8080/a@b?c=d:e@f',
  'mailto:bob@example.com, or user@example.com:22',
  'basic understanding of bearer instruments',
  'AKIA is a prefix, as are ghp_, glpat- and xoxb-.',
  'eyJ begins the base64 of a JSON object',
  '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----',
  '-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----',
  `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA${filler(40)} bob@host`,
  '2026-01-02T03:04:05.678Z 12:34:56 :AA',
  'DE89370400440532013000 4111 1111 1111 1111',
]
