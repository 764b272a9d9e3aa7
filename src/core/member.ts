// Adding a member under a name that came from outside.

/**
 * Makes `name` an own member of `target`, whatever Object.prototype holds under that name: a plain assignment would run
 * a setter planted there, and would throw where the prototype is frozen.
 */
export function addMember<T>(target: Record<string, T>, name: string, value: T): void {
  if (name in Object.prototype) {
    Object.defineProperty(target, name, { value, writable: true, enumerable: true, configurable: true })
  } else {
    target[name] = value
  }
}
