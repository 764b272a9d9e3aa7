// Whether one entry of a manifest or policy says more than most authors mean: a host pattern that is the internet, a
// path that holds keys, a program that runs whatever it is told. Lists of names are never complete; they keep the worst
// from slipping into a document that nobody reads closely, and decide nothing.

import { type HostPattern, parseHostPattern } from './host-pattern.ts'
import { type Cidr, cidrContains, parseCidr } from './ip.ts'
import type { LintRemark, LintRule } from './lint.ts'
import { type PathPattern, type PathSegment, parsePathPattern } from './path-pattern.ts'

export const BREADTH_LINTS = {
  any_host: { severity: 'warning', meaning: 'A host pattern that covers every name or every address.' },
  wide_host: {
    severity: 'warning',
    meaning: 'A wildcard over names that strangers can register, or a very large block.',
  },
  private_host: {
    severity: 'warning',
    meaning: 'Loopback, private or link-local addresses, or names of such networks.',
  },
  metadata_host: { severity: 'warning', meaning: 'A cloud metadata service, which hands out credentials.' },
  cleartext_host: { severity: 'info', meaning: 'http or ws: what is sent can be read and changed on the way.' },
  any_port: { severity: 'info', meaning: 'Every port of a host.' },
  whole_file_system: { severity: 'warning', meaning: 'A path pattern that begins with a wildcard, or is the root.' },
  home_directory: { severity: 'warning', meaning: 'Whole home directories: keys, tokens and histories lie there.' },
  credential_path: { severity: 'warning', meaning: 'A file or directory where secrets are kept.' },
  system_path: {
    severity: 'warning',
    meaning: 'Whole system directories: /etc, /proc, /sys, /dev, /run, /var, /boot.',
  },
  writable_system_path: { severity: 'warning', meaning: 'Writing where the system keeps programs or configuration.' },
  any_program: { severity: 'warning', meaning: 'A pattern of programs that covers a whole directory of the system.' },
  interpreter: {
    severity: 'warning',
    meaning: 'A program that runs what its arguments say, and nothing bounds these.',
  },
  privilege_program: { severity: 'warning', meaning: 'A program that changes user, namespace or container.' },
  code_env: { severity: 'warning', meaning: 'A variable that decides what code a program runs: LD_PRELOAD, PATH.' },
  secret_env: { severity: 'warning', meaning: 'A variable that by its name holds a secret.' },
  process_right: { severity: 'warning', meaning: 'A process right through which confinement gets thin.' },
} as const satisfies Readonly<Record<string, LintRule>>

export type BreadthLint = keyof typeof BREADTH_LINTS
type Remark = LintRemark<BreadthLint>

const remark = (rule: BreadthLint, message: string, hint: string): Remark => ({ rule, message, hint })
const words = (text: string): ReadonlySet<string> => new Set(text.split(' '))

// Hosts

// Suffixes under which anybody can have a name: registries with two labels, and hosting. A part of publicsuffix.org.
const OPEN_SUFFIXES = words(
  'co.uk org.uk me.uk com.au net.au co.jp ne.jp com.br com.cn net.cn com.tw com.hk com.sg com.mx com.tr co.in co.kr ' +
    'co.nz co.za com.ar com.ua com.pl eu.org github.io githubusercontent.com gitlab.io pages.dev workers.dev netlify.app ' +
    'vercel.app herokuapp.com fly.dev onrender.com render.com web.app firebaseapp.com appspot.com run.app ' +
    'cloudfunctions.net googleapis.com googleusercontent.com amazonaws.com cloudfront.net elasticbeanstalk.com ' +
    'azurewebsites.net windows.net azureedge.net cloudapp.net azure.com digitaloceanspaces.com ondigitalocean.app ' +
    'r2.dev trycloudflare.com ngrok.io ngrok.app ngrok-free.app loca.lt repl.co replit.app replit.dev glitch.me surge.sh ' +
    'blogspot.com wordpress.com sharepoint.com myshopify.com supabase.co deno.dev val.run pipedream.net webhook.site nip.io sslip.io',
)
const cidrs = (texts: readonly string[]): readonly Cidr[] =>
  texts.flatMap((text) => {
    const parsed = parseCidr(text)
    return parsed.ok ? [parsed.cidr] : []
  })
// RFC 6890 and what clouds put there.
const METADATA = cidrs(['169.254.169.254', '169.254.170.2', '100.100.100.200', 'fd00:ec2::254'])
const PRIVATE = cidrs(
  '0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.168.0.0/16 ::1 fc00::/7 fe80::/10'.split(
    ' ',
  ),
)
const METADATA_NAMES = words('metadata.google.internal metadata metadata.azure.com instance-data')
const PRIVATE_SUFFIX = /(?:^|\.)(?:localhost|local|internal|intranet|lan|home\.arpa|corp)$/
/** Blocks with fewer bits of prefix than this are wide. */
const WIDE = { 4: 16, 6: 32 } as const

/** What is to be said of a host pattern; the worst first, and that alone. A text that is no pattern: nothing. */
export function hostBreadth(text: string): readonly Remark[] {
  const parsed = parseHostPattern(text)
  if (!parsed.ok) return []
  const found = placeOf(parsed.pattern)
  const rest: Remark[] = []
  const { scheme, port } = parsed.pattern
  if (scheme === 'http' || scheme === 'ws') {
    rest.push(
      remark(
        'cleartext_host',
        `${scheme} is neither secret nor intact on the way`,
        'use https or wss, or leave the scheme out',
      ),
    )
  }
  if (port === 'any')
    rest.push(remark('any_port', 'every port of the host, its ssh and databases too', 'name the port'))
  return found === undefined ? rest : [found, ...rest]
}

function placeOf(pattern: HostPattern): Remark | undefined {
  const { kind, name = '', cidr } = pattern
  if (kind === 'any' || cidr?.prefix === 0)
    return remark('any_host', 'this is the whole internet', 'name the hosts that are needed')
  if (cidr !== undefined) return blockOf(cidr)
  if (METADATA_NAMES.has(name))
    return remark('metadata_host', 'whoever asks there gets the credentials of the machine', METADATA_HINT)
  if (PRIVATE_SUFFIX.test(name))
    return remark('private_host', 'a name of this machine or of a private network', PRIVATE_HINT)
  if (kind === 'exact' || !OPEN_SUFFIXES.has(name)) return undefined
  return remark('wide_host', `anybody can have a name below ${name}`, 'name the hosts that are needed')
}

function blockOf(cidr: Cidr): Remark | undefined {
  if (METADATA.some((one) => cidrContains(one, cidr) || (cidrContains(cidr, one) && cidr.prefix >= 16))) {
    return remark('metadata_host', 'whoever asks there gets the credentials of the machine', METADATA_HINT)
  }
  if (PRIVATE.some((one) => cidrContains(one, cidr))) {
    return remark('private_host', 'addresses of this machine or of a private network', PRIVATE_HINT)
  }
  if (cidr.prefix >= WIDE[cidr.family]) return undefined
  return remark('wide_host', `a block with a prefix of ${cidr.prefix} bits`, 'name the hosts or smaller blocks')
}

const METADATA_HINT = 'give the credential itself to the tool that needs it'
const PRIVATE_HINT = 'keep it only when the tool is meant to reach the inner network'

// Paths

const SECRET_DIRECTORIES = words(
  '.ssh .aws .azure .gnupg .kube .docker .password-store .vault-token .mozilla .terraform.d .openclaw secrets .secrets',
)
const SECRET_FILES = words(
  '.netrc .npmrc .pypirc .git-credentials .pgpass .my.cnf .htpasswd .env .envrc .dockercfg .bash_history .zsh_history ' +
    'shadow gshadow sudoers sudoers.d credentials.json docker.sock containerd.sock krb5.keytab authorized_keys',
)
const SECRET_NAME = /^(?:id_(?:rsa|dsa|ecdsa|ed25519)|.*\.(?:key|p12|pfx|jks|keystore|kdbx)|privkey.*\.pem)$/
/** Below ~/.config: clients that keep a token there. */
const SECRET_CONFIGS = words('gcloud gh op hub rclone doctl containers heroku')
const SYSTEM = words('etc proc sys dev run var boot')
const SYSTEM_PROGRAMS = words('etc usr bin sbin lib lib32 lib64 libexec boot proc sys dev')
/** Below /dev and harmless. */
const DEVICES = words('null zero full random urandom tty shm stdin stdout stderr fd pts')

/** What is to be said of a path pattern; the worst alone. A text that is no pattern: nothing. */
export function pathBreadth(text: string, access: 'read' | 'write' | 'execute'): Remark | undefined {
  const parsed = parsePathPattern(text)
  if (!parsed.ok) return undefined
  const { segments } = parsed.pattern
  const [first, second] = segments
  if (isSecret(parsed.pattern)) {
    return remark('credential_path', 'secrets are kept there', 'give the one secret that is needed by other means')
  }
  if (first?.kind !== 'literal') {
    return remark('whole_file_system', 'this is the whole file system, or any directory of it', 'name the directory')
  }
  if (isHomes(first.text, segments)) {
    return remark('home_directory', 'a home directory holds keys, tokens and histories', 'name a directory inside it')
  }
  if (access === 'write' && SYSTEM_PROGRAMS.has(first.text) && !isDevice(first.text, second)) {
    return remark(
      'writable_system_path',
      `the system keeps programs or settings below /${first.text}`,
      'write elsewhere',
    )
  }
  if (access === 'execute' && isProgramTree(segments)) {
    return remark('any_program', 'every program of a directory of the system', 'list the programs that are needed')
  }
  if (SYSTEM.has(first.text) && (second === undefined || isWide(second))) {
    return remark('system_path', `all of /${first.text} tells more than a tool needs`, 'name the files that are needed')
  }
  return undefined
}

/** /root/**, /home/**, /home/ana/**: all of one or more homes, and not a directory that somebody named inside of one. */
function isHomes(root: string, segments: readonly PathSegment[]): boolean {
  if (root !== 'root' && root !== 'home' && root !== 'Users') return false
  const [owner, inside] = root === 'root' ? [undefined, segments[1]] : segments.slice(1)
  if (owner?.kind === 'rest') return true
  return inside === undefined ? owner !== undefined && isWide(owner) : isWide(inside)
}

function isSecret({ segments }: PathPattern): boolean {
  const [first] = segments
  return segments.some((segment, index) => {
    if (segment.kind !== 'literal') return false
    const text = segment.text.toLowerCase()
    if (SECRET_DIRECTORIES.has(text)) return true
    const next = segments[index + 1]
    if (text === '.config' && next !== undefined) {
      return isWide(next) || (next.kind === 'literal' && SECRET_CONFIGS.has(next.text))
    }
    if (next !== undefined) return false
    // The environment and the memory of other processes.
    if (first?.kind === 'literal' && first.text === 'proc' && (text === 'environ' || text === 'mem')) return true
    return SECRET_FILES.has(text) || SECRET_NAME.test(text)
  })
}

/** Covers names its author has not seen: `**`, `*`, `?*`. */
function isWide(segment: PathSegment): boolean {
  return segment.kind === 'rest' || (segment.kind === 'glob' && segment.glob.matches('x7') && segment.glob.matches('q'))
}

function isDevice(root: string, second: PathSegment | undefined): boolean {
  return root === 'dev' && second?.kind === 'literal' && DEVICES.has(second.text)
}

/** Ends in a wildcard below /usr, /bin, /sbin or /opt with no directory of its own in between. */
function isProgramTree(segments: readonly PathSegment[]): boolean {
  const last = segments.at(-1)
  const [first] = segments
  if (last === undefined || !isWide(last) || first?.kind !== 'literal') return false
  if (!['usr', 'bin', 'sbin', 'opt', 'lib', 'snap', 'nix'].includes(first.text)) return false
  const own = segments.slice(1, -1).filter((one) => one.kind === 'literal' && !COMMON_DIRECTORIES.has(one.text))
  return own.length === 0
}

const COMMON_DIRECTORIES = words('local bin sbin lib libexec share store')

// Programs

const INTERPRETERS = words(
  'sh bash dash ash zsh ksh mksh fish csh tcsh busybox toybox env python pypy perl ruby irb node nodejs deno bun tsx ' +
    'ts-node lua luajit php awk gawk mawk nawk tclsh expect wish R Rscript julia java jshell groovy scala pwsh powershell ' +
    'osascript make cmake ninja git find xargs parallel vi vim nvim emacs ed ex less man gdb strace ltrace nice nohup ' +
    'timeout time setsid stdbuf watch script ssh scp rsync tar zip npx uvx pipx uv npm pip cargo go gcc cc',
)
const PRIVILEGE = words(
  'sudo su doas pkexec runuser nsenter unshare chroot setpriv capsh docker podman nerdctl ctr runc kubectl systemctl ' +
    'systemd-run mount umount insmod modprobe at crontab',
)

/** What is to be said of the path of a program, or of a pattern of such. */
export function programBreadth(text: string): Remark | undefined {
  const parsed = parsePathPattern(text)
  if (!parsed.ok) return undefined
  const { segments } = parsed.pattern
  const last = segments.at(-1)
  if (last === undefined || last.kind === 'rest' || segments[0]?.kind !== 'literal' || isProgramTree(segments)) {
    return remark('any_program', 'every program of a directory, shells too', 'list the programs that are needed')
  }
  const name = last.kind === 'literal' ? last.text : last.glob.text
  if (PRIVILEGE.has(name)) {
    return remark('privilege_program', `${name} changes user, namespace or container`, 'do this outside of the agent')
  }
  if (!isInterpreter(name)) return undefined
  return remark(
    'interpreter',
    `${name} runs what its arguments say`,
    'bound the arguments, or start a program of your own',
  )
}

function isInterpreter(name: string): boolean {
  // python3.12, node-22, perl*: the version says nothing.
  return INTERPRETERS.has(name) || INTERPRETERS.has(name.replace(/[-0-9.*?]+$/, ''))
}

// Variables

const LOADERS =
  /^(?:LD_[A-Z_0-9]+|DYLD_[A-Z_]+|GCONV_PATH|GLIBC_TUNABLES|PATH|IFS|ENV|BASH_ENV|SHELLOPTS|PS4|PROMPT_COMMAND|PYTHON(?:PATH|HOME|STARTUP|INSPECT|BREAKPOINT|WARNINGS)|NODE_(?:OPTIONS|PATH)|PERL(?:5?LIB|5?OPT|5?DB)|RUBY(?:OPT|LIB)|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|JDK_JAVA_OPTIONS|CLASSPATH|PHPRC|PHP_INI_SCAN_DIR|LUA_(?:PATH|CPATH|INIT)|GIT_(?:SSH|SSH_COMMAND|EXTERNAL_DIFF|PAGER|EDITOR|CONFIG[A-Z_0-9]*|EXEC_PATH|PROXY_COMMAND|ASKPASS)|EDITOR|VISUAL|PAGER|BROWSER|MAKEFLAGS|TERMINFO|R_PROFILE|R_ENVIRON|HOSTALIASES|LOCALDOMAIN|OPENSSL_CONF|SSL_CERT_(?:FILE|DIR)|(?:HTTPS?|ALL|NO)_PROXY|(?:https?|all|no)_proxy)$/
const SECRETS =
  /(?:^|_)(?:TOKENS?|SECRETS?|PASSWORDS?|PASSWD|PASS|PASSPHRASE|CREDENTIALS?|KEY|KEYS|APIKEY|AUTH|COOKIES?|JWT|PAT|DSN|SID)$|^(?:DATABASE_URL|REDIS_URL|MONGO(?:DB)?_UR[IL])$|(?:^|_)(?:ACCESS_KEY_ID|SECRET_ACCESS_KEY|PRIVATE_KEY(?:_[A-Z0-9]+)?)$/i

/** Whether a variable decides what code a program runs, or where its traffic goes. */
export function mustNotBeSet(name: string): boolean {
  return LOADERS.test(name)
}

/** What is to be said of the name of an environment variable. */
export function envBreadth(name: string): Remark | undefined {
  if (mustNotBeSet(name)) {
    return remark('code_env', 'whoever sets it decides what code a program runs', 'leave it out')
  }
  if (!SECRETS.test(name)) return undefined
  return remark(
    'secret_env',
    'by its name it holds a secret, and a process that sees it can send it',
    'keep it only where the tool needs it',
  )
}

const RIGHTS: ReadonlyMap<string, string> = new Map([
  ['executable_memory', 'code that was never in a file can run'],
  ['udp', 'names and data can leave in datagrams'],
  ['unix_sockets', 'daemons of the host answer there, of containers and of keys too'],
  ['listen', 'others can connect to the process'],
])

/** What is to be said of a process right. */
export function rightBreadth(right: string): Remark | undefined {
  const message = RIGHTS.get(right)
  return message === undefined
    ? undefined
    : remark('process_right', message, 'keep it only when the program cannot do without')
}
