// Secrets that are recognised by what they are called: `password=…` in a text, a member `api_key` of an object. Decides
// from the name alone how the value is to be taken.

/** `password`: whatever the value is. `token`: only when it looks like one, because the word has other uses. */
export type SecretName = 'password' | 'token'

/** Names are compared in lower case without `_ - .`, by their end: DB_PASSWORD, x-api-key, aws.secretAccessKey. */
const PASSWORDS: readonly string[] = [
  'password',
  'passwd',
  'passphrase',
  'passwort',
  'pwd',
  'secret',
  'secretkey',
  'secretaccesskey',
  'apikey',
  'apisecret',
  'privatekey',
  'accountkey', // of an Azure storage account
  'sharedaccesskey',
  'accesstoken',
  'refreshtoken',
  'authtoken',
  'sessiontoken',
  'bearertoken',
  'authorization',
]
const TOKENS: readonly string[] = ['token', 'credential', 'credentials', 'sig']

/** Marks of a place in a list, and of requests: they are no one's key, and a list cannot be read on without them. */
const PLACES = /page|next|prev|cursor|continuation|sync|csrf|xsrf/

/** In every listing of an environment. */
const WORKING_DIRECTORY = /^(?:OLD)?PWD$/

const LONGEST = 64
const SEPARATORS = /[-_. ]/g

/** What `name` says of its value; `undefined` for an ordinary name, and for a path: /etc/passwd holds no password. */
export function secretName(name: string): SecretName | undefined {
  if (WORKING_DIRECTORY.test(name) || name.includes('/')) return undefined
  const plain = name.slice(-LONGEST).toLowerCase().replace(SEPARATORS, '')
  if (PASSWORDS.some((word) => plain.endsWith(word))) return 'password'
  return TOKENS.some((word) => plain.endsWith(word)) && !PLACES.test(plain) ? 'token' : undefined
}

/** Whether `text` could be a generated token: long, in one piece, and with a digit. */
export function looksGenerated(text: string): boolean {
  return text.length >= 16 && /[0-9]/.test(text) && !/\s/.test(text)
}
