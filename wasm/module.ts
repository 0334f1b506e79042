import { Bug } from "../protocol/errors.ts";
import { type Code, leb, list, PREAMBLE, section, sized, text } from "./encoding.ts";

/** A function that a module exports by its name. It returns nothing. */
export type WasmFunction = {
  readonly name: string;
  readonly parameters: readonly number[];
  readonly locals: readonly number[];
  readonly body: Code;
};

/** Builds a function: numbers its parameters, then its locals, and takes its body. */
export class FunctionBuilder {
  readonly #name: string;
  readonly #parameters: number[] = [];
  readonly #locals: number[] = [];

  constructor(name: string) {
    this.#name = name;
  }

  /** Adds a parameter; all of them come before the first local. */
  parameter(type: number): number {
    if (this.#locals.length > 0) throw new Bug(`${this.#name} has locals before a parameter`);
    return this.#parameters.push(type) - 1;
  }

  /** Adds a local, which is 0 at first. */
  local(type: number): number {
    return this.#parameters.length + this.#locals.push(type) - 1;
  }

  locals(count: number, type: number): number[] {
    return Array.from({ length: count }, () => this.local(type));
  }

  build(body: Code): WasmFunction {
    return { name: this.#name, parameters: this.#parameters, locals: this.#locals, body };
  }
}

/** A memory that a module imports by its name. The first one's index is 0. */
export type ImportedMemory = {
  readonly name: string;
  /** Shared by threads. */
  readonly shared?: boolean;
};

const MAX_PAGES = 65_536;
const SECTIONS = { types: 1, imports: 2, functions: 3, exports: 7, code: 10 };
const KINDS = { function: 0, memory: 2 };
const END = 0x0b;

/** Compiles functions to a module. */
export function compileModule(
  memories: readonly ImportedMemory[],
  functions: readonly WasmFunction[],
): WebAssembly.Module {
  return new WebAssembly.Module(Uint8Array.from(encodeModule(memories, functions)));
}

function encodeModule(memories: readonly ImportedMemory[], functions: readonly WasmFunction[]): number[] {
  const imports = memories.map(({ name, shared = false }) => {
    const limits = shared ? [3, 0, ...leb(MAX_PAGES)] : [0, 0];
    return [...text(""), ...text(name), KINDS.memory, ...limits];
  });
  const exports = functions.map(({ name }, i) => [...text(name), KINDS.function, ...leb(i)]);
  return [
    ...PREAMBLE,
    ...section(SECTIONS.types, functions.map(typeOf)),
    ...section(SECTIONS.imports, imports),
    ...section(
      SECTIONS.functions,
      functions.map((_, i) => leb(i)),
    ),
    ...section(SECTIONS.exports, exports),
    ...section(SECTIONS.code, functions.map(codeOf)),
  ];
}

const typeOf = ({ parameters }: WasmFunction): number[] => [
  0x60,
  ...list(parameters.map((type) => [type])),
  ...list([]),
];

const codeOf = ({ locals, body }: WasmFunction): number[] =>
  sized([...list(locals.map((type) => [1, type])), ...body, END]);

/** A function as JavaScript calls it. */
export type ExportedFunction = (...parameters: number[]) => void;

const isFunction = (value: unknown): value is ExportedFunction => typeof value === "function";

/**
 * Gives a module its memories; returns its functions by their names.
 *
 * @throws Bug for a name that the module does not export
 */
export function instantiate(
  module: WebAssembly.Module,
  memories: Readonly<Record<string, WebAssembly.Memory>>,
): (name: string) => ExportedFunction {
  const { exports } = new WebAssembly.Instance(module, { "": memories });
  return (name) => {
    const exported = exports[name];
    if (!isFunction(exported)) throw new Bug(`the module exports no function ${name}`);
    return exported;
  };
}
