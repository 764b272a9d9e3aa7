// Tokens that are recognised by their form: a fixed text followed by so many characters of an alphabet. A table, so that
// what `secrets: true` covers can be read and tested line by line. Trusts nobody's checksum: what looks like one goes.

/** ASCII characters as a table of 128 flags. */
export type Alphabet = Uint8Array

/** `ranges` as in a character class: `a-z0-9_`; a `-` that is meant comes last. */
export function alphabet(ranges: string): Alphabet {
  const table = new Uint8Array(128)
  for (let index = 0; index < ranges.length; index++) {
    const low = ranges.charCodeAt(index)
    const ranged = ranges[index + 1] === '-' && index + 2 < ranges.length
    const high = ranged ? ranges.charCodeAt(index + 2) : low
    table.fill(1, low, high + 1)
    if (ranged) index += 2
  }
  return table
}

/** As many characters of an alphabet as stand there, and not fewer than `min`. */
export interface Run {
  readonly chars: Alphabet
  readonly min: number
}

export interface SecretForm {
  readonly id: string
  /** What the token begins with; one of them. A text without any is not looked at further. */
  readonly hints: readonly string[]
  /** Behind the hint, in this order. No alphabet has the text that follows it, so that nothing is tried twice. */
  readonly parts: readonly (string | Run)[]
  /** Characters directly before the hint that belong to the token: at least `min`, at most `max`. */
  readonly lead?: Run & { readonly max: number }
  /** The token does not begin inside a word: for short hints, `risk-…` is no `sk-…`. */
  readonly apart?: true
  /** The first run has a digit in it, which words and names seldom have. */
  readonly mixed?: true
  /** Where the form is written down. */
  readonly source: string
}

export const DIGITS: Alphabet = alphabet('0-9')
const HEX = alphabet('0-9a-f')
const UPPER_DIGITS = alphabet('A-Z0-9')
const ALNUM = alphabet('A-Za-z0-9')
const WORD = alphabet('A-Za-z0-9_')
const URL64 = alphabet('A-Za-z0-9_-')
const URL64_DOT = alphabet('A-Za-z0-9_.-')
const BASE64 = alphabet('A-Za-z0-9+/=')

const run = (chars: Alphabet, min: number): Run => ({ chars, min })

const GITHUB = 'github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats'
const GITLAB = 'docs.gitlab.com/security/tokens/#token-prefixes'
const SLACK = 'docs.slack.dev/authentication/tokens'
const STRIPE = 'docs.stripe.com/keys'
const GOOGLE = 'cloud.google.com/docs/authentication'
const RULES = 'github.com/gitleaks/gitleaks/blob/master/config/gitleaks.toml'
const SUPPORTED = 'docs.github.com/en/code-security/reference/secret-security/supported-secret-scanning-patterns'

export const SECRET_FORMS: readonly SecretForm[] = [
  {
    id: 'aws-access-key',
    hints: ['AKIA', 'ASIA', 'ABIA', 'ACCA'],
    parts: [run(UPPER_DIGITS, 16)],
    apart: true,
    source: 'docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids',
  },
  {
    id: 'github-token',
    hints: ['ghp_', 'gho_', 'ghu_', 'ghs_', 'ghr_'],
    parts: [run(ALNUM, 36)],
    source: GITHUB,
  },
  { id: 'github-fine-grained-token', hints: ['github_pat_'], parts: [run(WORD, 60)], source: GITHUB },
  {
    id: 'gitlab-token',
    hints: ['glpat-', 'gldt-', 'glrt-', 'glptt-', 'glcbt-', 'glsoat-', 'glft-', 'glimt-', 'glagent-', 'gloas-'],
    parts: [run(URL64_DOT, 20)],
    source: GITLAB,
  },
  {
    id: 'slack-token',
    hints: ['xoxb-', 'xoxp-', 'xoxa-', 'xoxo-', 'xoxr-', 'xoxs-', 'xoxc-', 'xoxd-', 'xoxe-', 'xapp-'],
    parts: [run(alphabet('A-Za-z0-9%-'), 10)],
    mixed: true,
    source: SLACK,
  },
  {
    id: 'slack-webhook',
    hints: ['hooks.slack.com/services/', 'hooks.slack.com/workflows/', 'hooks.slack.com/triggers/'],
    parts: [run(alphabet('A-Za-z0-9+/'), 20)],
    source: 'docs.slack.dev/messaging/sending-messages-using-incoming-webhooks',
  },
  {
    id: 'discord-webhook',
    hints: ['discord.com/api/webhooks/', 'discordapp.com/api/webhooks/'],
    parts: [run(DIGITS, 16), '/', run(URL64, 40)],
    source: 'discord.com/developers/docs/resources/webhook',
  },
  {
    id: 'stripe-key',
    hints: ['sk_live_', 'rk_live_', 'sk_test_', 'rk_test_', 'whsec_'],
    parts: [run(ALNUM, 16)],
    source: STRIPE,
  },
  { id: 'google-api-key', hints: ['AIza'], parts: [run(URL64, 35)], source: GOOGLE },
  { id: 'google-oauth-token', hints: ['ya29.'], parts: [run(URL64_DOT, 20)], source: GOOGLE },
  { id: 'google-client-secret', hints: ['GOCSPX-'], parts: [run(URL64, 24)], source: SUPPORTED },
  {
    // OpenAI and Anthropic (`sk-ant-…`) alike, and the many services that took the prefix over.
    id: 'sk-key',
    hints: ['sk-'],
    parts: [run(URL64, 20)],
    apart: true,
    mixed: true,
    source: `${RULES} openai-api-key, anthropic-api-key`,
  },
  { id: 'xai-key', hints: ['xai-'], parts: [run(ALNUM, 64)], apart: true, source: SUPPORTED },
  { id: 'groq-key', hints: ['gsk_'], parts: [run(ALNUM, 40)], source: SUPPORTED },
  { id: 'perplexity-key', hints: ['pplx-'], parts: [run(ALNUM, 40)], source: RULES },
  {
    id: 'hugging-face-token',
    hints: ['hf_'],
    parts: [run(ALNUM, 30)],
    apart: true,
    source: 'huggingface.co/docs/hub/security-tokens',
  },
  {
    id: 'npm-token',
    hints: ['npm_'],
    parts: [run(ALNUM, 36)],
    source: 'github.blog/changelog/2021-09-23-npm-has-a-new-access-token-format',
  },
  { id: 'pypi-token', hints: ['pypi-AgE'], parts: [run(URL64, 40)], source: 'pypi.org/help/#apitoken' },
  { id: 'docker-token', hints: ['dckr_pat_', 'dckr_oat_'], parts: [run(URL64, 20)], source: SUPPORTED },
  {
    id: 'sendgrid-key',
    hints: ['SG.'],
    parts: [run(URL64, 16), '.', run(URL64, 32)],
    apart: true,
    source: 'docs.sendgrid.com/ui/account-and-settings/api-keys',
  },
  {
    id: 'twilio-key',
    hints: ['SK'],
    parts: [run(HEX, 32)],
    apart: true,
    source: 'www.twilio.com/docs/glossary/what-is-a-sid',
  },
  {
    id: 'telegram-bot-token',
    hints: [':AA'],
    lead: { chars: DIGITS, min: 6, max: 12 },
    parts: [run(URL64, 32)],
    source: 'core.telegram.org/bots/api#authorizing-your-bot',
  },
  {
    id: 'azure-client-secret',
    hints: ['Q~'],
    // Three characters and a digit, then the mark, then 31 to 34 characters.
    lead: { chars: alphabet('A-Za-z0-9_~.'), min: 4, max: 4 },
    parts: [run(alphabet('A-Za-z0-9_~.-'), 31)],
    source: `${RULES} azure-ad-client-secret`,
  },
  { id: 'databricks-token', hints: ['dapi'], parts: [run(HEX, 32)], apart: true, source: SUPPORTED },
  { id: 'digitalocean-token', hints: ['dop_v1_', 'doo_v1_', 'dor_v1_'], parts: [run(HEX, 64)], source: SUPPORTED },
  {
    id: 'shopify-token',
    hints: ['shpat_', 'shpca_', 'shppa_', 'shpss_'],
    parts: [run(alphabet('a-fA-F0-9'), 32)],
    source: SUPPORTED,
  },
  { id: 'vault-token', hints: ['hvs.', 'hvb.'], parts: [run(URL64, 24)], source: SUPPORTED },
  { id: 'grafana-token', hints: ['glsa_', 'glc_'], parts: [run(alphabet('A-Za-z0-9_+/='), 32)], source: SUPPORTED },
  { id: 'linear-key', hints: ['lin_api_', 'lin_oauth_'], parts: [run(ALNUM, 32)], source: SUPPORTED },
  { id: 'notion-token', hints: ['ntn_'], parts: [run(ALNUM, 40)], apart: true, source: SUPPORTED },
  {
    id: 'json-web-token',
    // The header is a JSON object in base64url, and `{"` is `eyJ`; RFC 7515 §7.1, RFC 7516 §7.1 for the encrypted ones.
    hints: ['eyJ'],
    parts: [run(URL64, 8), '.', run(URL64_DOT, 8)],
    source: 'RFC 7519',
  },
  {
    id: 'age-secret-key',
    hints: ['AGE-SECRET-KEY-1'],
    parts: [run(UPPER_DIGITS, 58)],
    source: 'github.com/C2SP/C2SP/blob/main/age.md#the-x25519-recipient-type',
  },
  {
    // "openssh-key-v1" in base64: the body of an OpenSSH private key that has lost its armour.
    id: 'openssh-private-key',
    hints: ['b3BlbnNzaC1rZXktdjE'],
    parts: [run(BASE64, 32)],
    source: 'github.com/openssh/openssh-portable/blob/master/PROTOCOL.key',
  },
]
