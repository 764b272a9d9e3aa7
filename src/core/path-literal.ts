// The pattern that means one path and nothing else, for lines of a policy or manifest that are made from a path.

/** Puts a backslash before whatever a pattern reads as syntax. */
export function literalPathPattern(path: string): string {
  return path.replace(/[!"()*+?@[\\\]{|}]/g, '\\$&')
}
