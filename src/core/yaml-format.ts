// A YAML text in one canonical layout: keys in their order, two spaces, quotes only where a reader could need them. Works on
// the nodes of the library, so that comments stay with what they are about. Trusts the library with nothing: that value and
// comments are the same afterwards is checked by format.ts.

import type { KeyOrder } from './key-order.ts'
import { LexYaml, Pair, parseYamlNodes, Scalar, YAMLMap, YAMLSeq, type YamlTags } from './yaml.ts'

/** A collection in brackets that would end beyond this column is written without them, over several lines. */
const WIDTH = 120

/** `text`, which must be well-formed, laid out anew. */
export function formatYaml(text: string, order: KeyOrder | undefined): string {
  const document = parseYamlNodes(text.replaceAll('\r\n', '\n'), {
    customTags: (tags) => tags.map(folding),
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: 'silent',
  })
  layOut(document.contents, order, 0, false)
  return document.toString({ indent: 2, lineWidth: 0, doubleQuotedAsJSON: true })
}

/** The comments of a YAML text, sorted: what a layout must not change. */
export function yamlComments(text: string): readonly string[] {
  const comments: string[] = []
  let inScalar = false
  for (const lexeme of new LexYaml().lex(text.replaceAll('\r\n', '\n'))) {
    if (!inScalar && lexeme.startsWith('#')) comments.push(lexeme.trimEnd())
    // The mark the library puts before the text of a scalar, which may begin like a comment.
    inScalar = lexeme === '\x1f'
  }
  return comments.sort()
}

/** Folds `>` texts at the width. All other texts stay on their line: the fast reader of yaml-block.ts needs them there. */
function folding(tag: YamlTags[number]): YamlTags[number] {
  if (typeof tag === 'string' || tag.tag !== 'tag:yaml.org,2002:str' || !('stringify' in tag)) return tag
  const { stringify } = tag
  if (stringify === undefined) return tag
  return {
    ...tag,
    stringify: (item, ctx, onComment, onChompKeep) => {
      if (!(item instanceof Scalar && item.type === 'BLOCK_FOLDED')) return stringify(item, ctx, onComment, onChompKeep)
      return stringify(item, { ...ctx, options: { ...ctx.options, lineWidth: WIDTH } }, onComment, onChompKeep)
    },
  }
}

/** Lays out `node`, whose text begins at `column`. `inFlow`: inside of brackets. */
function layOut(node: unknown, order: KeyOrder | undefined, column: number, inFlow: boolean): void {
  thin(node)
  if (node instanceof Scalar) layOutScalar(node, inFlow)
  else if (node instanceof YAMLMap) layOutMap(node, order, column, inFlow)
  else if (node instanceof YAMLSeq) layOutList(node, order, column, inFlow)
}

/** Of several blank lines one stays. */
function thin(node: unknown): void {
  if (!(node instanceof Scalar || node instanceof YAMLMap || node instanceof YAMLSeq)) return
  if (typeof node.comment === 'string') node.comment = node.comment.replace(/\n+$/, '\n').replace(/\n{3,}/g, '\n\n')
  if (typeof node.commentBefore === 'string') node.commentBefore = node.commentBefore.replace(/\n{3,}/g, '\n\n')
}

function layOutMap(map: YAMLMap, order: KeyOrder | undefined, column: number, inFlow: boolean): void {
  const pairs = map.items.filter((pair) => pair instanceof Pair)
  const names = pairs.map(({ key }) => String(key instanceof Scalar ? key.value : key))
  if (order !== undefined) {
    const sorted = order.sort(names)
    const rank = new Map(sorted.map((name, index) => [name, index]))
    map.items.sort((a, b) => (rank.get(nameOf(a)) ?? 0) - (rank.get(nameOf(b)) ?? 0))
  }
  const flow = breakWhereTooLong(map, column, inFlow)
  padBrackets(map, YAMLMap, ' ')
  map.items.forEach(({ key, value }, index) => {
    if (key instanceof Scalar) {
      thin(key)
      layOutScalar(key, true)
      // A blank line before the first key came with it from elsewhere.
      if (index === 0) delete key.spaceBefore
    }
    const name = nameOf({ key })
    const inner = order?.member(name)
    const short = isFlow(value) || value instanceof Scalar
    layOut(value, inner, short ? column + name.length + 2 : column + 2, flow)
    if (value instanceof YAMLMap || value instanceof YAMLSeq) delete value.spaceBefore
  })
}

function layOutList(list: YAMLSeq, order: KeyOrder | undefined, column: number, inFlow: boolean): void {
  const flow = breakWhereTooLong(list, column, inFlow)
  padBrackets(list, YAMLSeq, '')
  const inner = order?.item()
  list.items.forEach((item, index) => {
    layOut(item, inner, column + 2, flow)
    if (index === 0 && (item instanceof Scalar || item instanceof YAMLMap || item instanceof YAMLSeq)) {
      delete item.spaceBefore
    }
  })
}

/** Whether what is inside is in brackets: those that get too long or have comments are written without, from the outermost. */
function breakWhereTooLong(node: YAMLMap | YAMLSeq, column: number, inFlow: boolean): boolean {
  if (inFlow || node.flow !== true) return inFlow
  if (node.items.length > 0 && (column + lengthOf(node) > WIDTH || hasCommentInside(node))) node.flow = false
  return node.flow
}

function hasCommentInside(node: YAMLMap | YAMLSeq): boolean {
  const inner: readonly unknown[] =
    node instanceof YAMLMap ? node.items.flatMap(({ key, value }) => [key, value]) : node.items
  return inner.some((one) => {
    if (!(one instanceof Scalar || one instanceof YAMLMap || one instanceof YAMLSeq)) return false
    if (typeof one.comment === 'string' || typeof one.commentBefore === 'string') return true
    return !(one instanceof Scalar) && hasCommentInside(one)
  })
}

function isFlow(node: unknown): boolean {
  return (node instanceof YAMLMap || node instanceof YAMLSeq) && node.flow === true
}

/** `{ a: 1 }` and `[1, 2]`: the library has one setting for both. */
function padBrackets<N extends YAMLMap | YAMLSeq>(
  node: N,
  kind: { readonly prototype: N },
  flowCollectionPadding: string,
): void {
  const write = kind.prototype.toString
  node.toString = (ctx, ...rest) =>
    ctx === undefined ? write.call(node) : write.call(node, { ...ctx, flowCollectionPadding }, ...rest)
}

/** By value and not by text, so that a second layout comes to the same answer. */
function lengthOf(node: unknown): number {
  if (node instanceof Scalar) return typeof node.value === 'string' ? node.value.length + 2 : String(node.value).length
  if (node instanceof YAMLSeq) return node.items.reduce((sum: number, item) => sum + lengthOf(item) + 2, 0)
  if (!(node instanceof YAMLMap)) return 0
  return node.items.reduce((sum: number, { key, value }) => sum + lengthOf(key) + lengthOf(value) + 4, 2)
}

function nameOf({ key }: { readonly key: unknown }): string {
  return String(key instanceof Scalar ? key.value : key)
}

// A text that is itself in any YAML, 1.1 and 1.2: letters first, no mark that means anything. A colon inside of brackets is
// an error to older readers.
const PLAIN = /^[A-Za-z_/][A-Za-z0-9_./*?@+=~-]*(?:[ :][A-Za-z0-9_./*?@+=~-]+)*$/
const PLAIN_IN_FLOW = /^[A-Za-z_/][A-Za-z0-9_./*?@+=~-]*(?: [A-Za-z0-9_./*?@+=~-]+)*$/
const WORD = /^(?:y|n|yes|no|on|off|true|false|null)$/i

function layOutScalar(node: Scalar, inFlow: boolean): void {
  const { value, type } = node
  if (typeof value !== 'string') return
  if (type === 'QUOTE_DOUBLE' || type === 'QUOTE_SINGLE') {
    if ((inFlow ? PLAIN_IN_FLOW : PLAIN).test(value) && !WORD.test(value)) node.type = 'PLAIN'
    else node.type = /["\\]/.test(value) && /^[ -~]*$/.test(value) ? 'QUOTE_SINGLE' : 'QUOTE_DOUBLE'
  } else if (type === 'PLAIN' && value.includes('\n')) node.type = inFlow ? 'QUOTE_DOUBLE' : 'BLOCK_LITERAL'
}
