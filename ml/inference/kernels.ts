import type { Code } from "../../wasm/encoding.ts";
import { geluRoutine, softmaxRoutine, swigluRoutine } from "./activations.ts";
import { asm, Locals, moduleOf, type Routine, routine } from "./assembler.ts";

const { get, set } = asm;
/** Bytes that a pass of the inner loops takes. */
const STRIDE = 32;
const HALVES = [0, 16];
/** The index of the memory with the matrices. */
const MATRIX = 1;

const move = (local: number, by: Code): number[] => [...get(local), ...by, 0x6a, ...set(local)];
/** addresses[0] = first, and each next one `stride` further. */
const spread = (addresses: readonly number[], first: Code, stride: Code): number[] =>
  addresses.flatMap((address, i) => [
    ...(i === 0 ? first : asm.addI32(get(addresses[i - 1] ?? 0), stride)),
    ...set(address),
  ]);

/** for (p = 0; p < even; p += 32) wide(p); for (; p < bytes; p += 4) narrow(p), with even = bytes rounded down */
function sweep(locals: Locals, bytes: number, wide: (p: Code) => Code, narrow: (p: Code) => Code): number[] {
  const [p, even] = [locals.i32(), locals.i32()];
  const pass = (body: Code, by: number, end: number) =>
    asm.when(
      asm.below(get(p), get(end)),
      asm.repeat([...body, ...move(p, asm.i32(by))], asm.below(get(p), get(end))),
    );
  return [
    ...asm.and(get(bytes), asm.i32(-STRIDE)),
    ...set(even),
    ...asm.i32(0),
    ...set(p),
    ...pass(wide(get(p)), STRIDE, even),
    ...pass(narrow(get(p)), 4, bytes),
  ];
}

const nameOf = (rows: number, vectors: number): string => `rows${rows}x${vectors}`;

/**
 * y[c][r] += sum over i of w[r][i] x[c][i]: `rows` rows at a time, for `vectors` vectors.
 * Parameters: w, its row's bytes, x, bytes from one to the next, y, bytes from one to the next, bytes of x, passes.
 */
function rowsRoutine(rows: number, vectors: number): Routine {
  const l = new Locals();
  const [w = 0, wStride = 0, x = 0, xStride = 0, y = 0, yStride = 0, bytes = 0, passes = 0] = l.many(
    8,
    l.i32,
  );
  const [ws, xs, ys] = [l.many(rows, l.i32), l.many(vectors, l.i32), l.many(vectors, l.i32)];
  const sums = ws.map(() => l.many(vectors, l.v128));
  const [xv, wv] = [l.many(vectors, l.v128), l.v128()];
  const each = (visit: (r: number, c: number, sum: number) => Code): number[] =>
    sums.flatMap((row, r) => row.flatMap((sum, c) => [...visit(r, c, sum)]));
  const wide = (p: Code) =>
    HALVES.flatMap((half) => [
      ...xs.flatMap((at, c) => [...asm.load4(asm.addI32(get(at), p), half), ...set(xv[c] ?? 0)]),
      ...ws.flatMap((at, r) => [
        ...asm.load4(asm.addI32(get(at), p), half, MATRIX),
        ...set(wv),
        ...(sums[r] ?? []).flatMap((sum, c) => [
          ...asm.fused4(get(xv[c] ?? 0), get(wv), get(sum)),
          ...set(sum),
        ]),
      ]),
    ]);
  const accumulate = (r: number, c: number, value: Code) =>
    asm.store(get(ys[c] ?? 0), asm.add(asm.load(get(ys[c] ?? 0), 4 * r), value), 4 * r);
  const narrow = (p: Code) =>
    each((r, c) =>
      accumulate(
        r,
        c,
        asm.mul(
          asm.load(asm.addI32(get(ws[r] ?? 0), p), 0, MATRIX),
          asm.load(asm.addI32(get(xs[c] ?? 0), p)),
        ),
      ),
    );
  const lanes = (sum: number) =>
    asm.add(
      asm.add(asm.lane(get(sum), 0), asm.lane(get(sum), 1)),
      asm.add(asm.lane(get(sum), 2), asm.lane(get(sum), 3)),
    );
  const body = asm.repeat(
    [
      ...spread(ws, get(w), get(wStride)),
      ...spread(xs, get(x), get(xStride)),
      ...spread(ys, get(y), get(yStride)),
      ...each((_r, _c, sum) => [...asm.splat(asm.f32(0)), ...set(sum)]),
      ...sweep(l, bytes, wide, narrow),
      ...each((r, c, sum) => accumulate(r, c, lanes(sum))),
      ...move(w, asm.mulI32(get(wStride), asm.i32(rows))),
      ...move(y, asm.i32(4 * rows)),
    ],
    [...asm.subI32(get(passes), asm.i32(1)), ...asm.tee(passes)],
  );
  return routine(nameOf(rows, vectors), l, 8, body);
}

/** Takes the vectors of a product in fours, twos and ones, and so many rows at a time. */
const BLOCKS = [
  { vectors: 4, taken: 2 },
  { vectors: 2, taken: 4 },
  { vectors: 1, taken: 8 },
] as const;

/** The module that every thread runs: memory 0 is the decoder's state, memory 1 has the matrices. */
export function compileKernels(): WebAssembly.Module {
  const products = BLOCKS.flatMap(({ vectors, taken }) => [
    rowsRoutine(taken, vectors),
    rowsRoutine(1, vectors),
  ]);
  return new WebAssembly.Module(
    moduleOf(["state", "matrix"], [...products, geluRoutine(), swigluRoutine(), softmaxRoutine()]),
  );
}

type RowsRoutine = (...parameters: [number, number, number, number, number, number, number, number]) => void;

type Block = {
  readonly vectors: number;
  readonly taken: number;
  readonly many: RowsRoutine;
  readonly one: RowsRoutine;
};

/** Places are in bytes. What activations take is a multiple of 16 bytes, above 0. */
export type Kernels = {
  readonly blocks: readonly Block[];
  gelu(offset: number, bytes: number): void;
  swiglu(gate: number, up: number, bytes: number): void;
  softmax(offset: number, bytes: number): void;
};

/** @param matrix the memory of the matrices */
export function instantiateKernels(
  module: WebAssembly.Module,
  state: WebAssembly.Memory,
  matrix: WebAssembly.Memory,
): Kernels {
  const { exports } = new WebAssembly.Instance(module, { "": { state, matrix } });
  const find = <F>(name: string): F => {
    const found = exports[name];
    if (typeof found !== "function") throw new TypeError(`the module has no ${name}`);
    return found as F;
  };
  const blocks = BLOCKS.map(({ vectors, taken }) => ({
    vectors,
    taken,
    many: find<RowsRoutine>(nameOf(taken, vectors)),
    one: find<RowsRoutine>(nameOf(1, vectors)),
  }));
  return { blocks, gelu: find("gelu"), swiglu: find("swiglu"), softmax: find("softmax") };
}

/** Rows of a matrix that multiply some vectors. Places and strides are in bytes. */
export type Product = {
  readonly matrix: number;
  /** From one of the matrix's rows to the next. */
  readonly stride: number;
  readonly rows: number;
  readonly width: number;
  readonly vectors: number;
  readonly from: number;
  readonly fromStride: number;
  readonly to: number;
  readonly toStride: number;
};

/** So much of a matrix serves all vectors while it is in the processor's second-level cache. */
const BLOCK_BYTES = 1 << 18;

/** to[c][r] += sum over i of matrix[r][i] from[c][i]. A sum does not depend on how many rows or vectors there are. */
export function multiply({ blocks }: Kernels, product: Product): void {
  const { rows, width, vectors } = product;
  const most = vectors === 1 ? rows : Math.max(8, Math.floor(BLOCK_BYTES / (32 * width)) * 8);
  for (let first = 0; first < rows; first += most) {
    const count = Math.min(most, rows - first);
    let vector = 0;
    for (const block of blocks) {
      for (; vector + block.vectors <= vectors; vector += block.vectors) {
        multiplyBlock(block, product, { first, count, vector });
      }
    }
  }
}

type Part = { readonly first: number; readonly count: number; readonly vector: number };

function multiplyBlock({ taken, many, one }: Block, p: Product, { first, count, vector }: Part): void {
  const from = p.from + vector * p.fromStride;
  const to = p.to + vector * p.toStride;
  const bytes = 4 * p.width;
  const passes = Math.floor(count / taken);
  const last = first + passes * taken;
  const left = count - passes * taken;
  const at = p.matrix + first * p.stride;
  if (passes > 0) many(at, p.stride, from, p.fromStride, to + 4 * first, p.toStride, bytes, passes);
  const end = p.matrix + last * p.stride;
  if (left > 0) one(end, p.stride, from, p.fromStride, to + 4 * last, p.toStride, bytes, left);
}
