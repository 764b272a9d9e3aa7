// Whether a text that no mapping covers looks like a destination. A tool that takes a URL in an argument its manifest does
// not map would otherwise reach a host that the policy never hears of. This is a net under careless manifests, not a wall:
// a bare host name or a relative path looks like any other word. The wall is the enforcer.

const TAB = 0x09
const LF = 0x0a
const CR = 0x0d
const DOT = 0x2e
const SLASH = 0x2f
const COLON = 0x3a
const BACKSLASH = 0x5c
const TILDE = 0x7e

/** Longer than any scheme in use; what is longer is a word. */
const SCHEME_LENGTH = 64

/** Schemes that name something even with no slash behind them (`http:host` is `http://host` to WHATWG parsers). */
const SLASHLESS: ReadonlySet<string> = new Set(
  'http https ws wss ftp ftps file blob filesystem view-source jar javascript vbscript data'.split(' '),
)
/** Of those, the ones that mean the same with white space after the colon. */
const SPACE_ALLOWED: ReadonlySet<string> = new Set(['javascript', 'vbscript', 'data'])

/**
 * What `text` looks like: a URL, a path outside the working directory, or neither. White space in front is skipped, as
 * trimming tools do; what follows the first characters does not matter. Linear in the length of `text`.
 */
export function looksLikeDestination(text: string): 'url' | 'path' | undefined {
  let start = 0
  while (start < text.length && isSpace(text.charCodeAt(start))) start++
  const first = text.charCodeAt(start)
  // `//host/x` is a URL to a browser and a path to a file system: either way it is one of ours.
  if (first === SLASH) return 'path'
  if (first === TILDE && isHome(text, start + 1)) return 'path'
  if (first === BACKSLASH && text.charCodeAt(start + 1) === BACKSLASH) return 'path'
  if (isLetter(first)) {
    const found = schemeForm(text, start)
    if (found !== undefined) return found
  }
  return climbs(text, start) ? 'path' : undefined
}

// `~`, `~/x`, `~user/x`; not `~30`, which is a number to most who write it.
function isHome(text: string, from: number): boolean {
  let at = from
  while (isSchemeCharacter(text.charCodeAt(at))) at++
  return at === text.length ? at === from : text.charCodeAt(at) === SLASH
}

function schemeForm(text: string, start: number): 'url' | 'path' | undefined {
  let colon = start
  for (; ; colon++) {
    const code = text.charCodeAt(colon)
    if (code === COLON) break
    // Tabs and line ends are passed over: see schemeName.
    if ((!isSchemeCharacter(code) && !isDropped(code)) || colon - start > SCHEME_LENGTH) return undefined
  }
  let at = colon + 1
  while (isDropped(text.charCodeAt(at))) at++
  const next = text.charCodeAt(at)
  const scheme = schemeName(text, start, colon)
  // One letter is a drive: C:\x, C:/x.
  if (next === SLASH || next === BACKSLASH) return scheme.length === 1 ? 'path' : 'url'
  if (Number.isNaN(next) || !SLASHLESS.has(scheme)) return undefined
  // After white space there is only prose, unless an @ makes it user information: `http: x@host` reaches host.
  return !isSpace(next) || SPACE_ALLOWED.has(scheme) || text.includes('@', at) ? 'url' : undefined
}

// WHATWG parsers drop tabs and line ends wherever they stand: h<TAB>ttp://host is http://host.
function schemeName(text: string, start: number, colon: number): string {
  return text
    .slice(start, colon)
    .replace(/[\t\n\r]/g, '')
    .toLowerCase()
}

// A `..` segment anywhere leads out of the directory a tool starts from, because path.resolve does not ask whether the
// segments before it exist.
function climbs(text: string, start: number): boolean {
  for (let at = text.indexOf('..', start); at !== -1; at = text.indexOf('..', at + 1)) {
    const opens = at === start || isSeparator(text.charCodeAt(at - 1))
    if (opens && (at + 2 === text.length || isSeparator(text.charCodeAt(at + 2)))) return true
  }
  return false
}

function isSeparator(code: number): boolean {
  return code === SLASH || code === BACKSLASH
}

function isDropped(code: number): boolean {
  return code === TAB || code === LF || code === CR
}

function isLetter(code: number): boolean {
  return (code >= 0x61 && code <= 0x7a) || (code >= 0x41 && code <= 0x5a)
}

// RFC 3986 §3.1, and `_`, which user names and private schemes have.
function isSchemeCharacter(code: number): boolean {
  return (
    isLetter(code) || (code >= 0x30 && code <= 0x39) || code === 0x2b || code === 0x2d || code === DOT || code === 0x5f
  )
}

/** What trim() or a URL parser removes at the ends: C0 controls, space, and the white space of Unicode. */
function isSpace(code: number): boolean {
  if (code <= 0x20) return true
  if (code < 0xa0) return false
  return (
    code === 0xa0 ||
    code === 0x1680 ||
    (code >= 0x2000 && code <= 0x200a) ||
    code === 0x2028 ||
    code === 0x2029 ||
    code === 0x202f ||
    code === 0x205f ||
    code === 0x3000 ||
    code === 0xfeff
  )
}
