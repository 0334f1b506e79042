/** The same object, but for one of its methods: to let something happen just before it, or to let it fail. */
export function withVerb<T extends object, K extends keyof T>(object: T, name: K, verb: T[K]): T {
  return new Proxy(object, {
    get(target, property) {
      if (property === name) return verb;
      const value: unknown = Reflect.get(target, property);
      // A method needs the object itself, for its private fields.
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
