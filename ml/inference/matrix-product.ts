import { type Code, I32, V128 } from "../../wasm/encoding.ts";
import { control, f32, f32x4, i32, local, v128 } from "../../wasm/instructions.ts";
import { type ExportedFunction, FunctionBuilder, type WasmFunction } from "../../wasm/module.ts";

/** The index of the memory that has the matrices. Memory 0 has the vectors. */
const MATRIX = { memory: 1 };
/** Bytes of a row that a pass of the inner loop takes, in two halves. */
const PASS_BYTES = 32;
const HALVES = [0, 16];

/** local += increment */
const increase = (index: number, increment: Code): number[] =>
  local.set(index, i32.add(local.get(index), increment));

/** Sets the first address to `first`, and each other one to `stride` bytes after the one before. */
function spread(addresses: readonly number[], first: Code, stride: Code): number[] {
  let before: number | null = null;
  return addresses.flatMap((address) => {
    const value: Code = before === null ? first : i32.add(local.get(before), stride);
    before = address;
    return local.set(address, value);
  });
}

/** for (p = 0; p < even; p += 32) wide(p); for (; p < bytes; p += 4) narrow(p), with even = bytes rounded down */
function sweep(
  code: FunctionBuilder,
  bytes: number,
  wide: (p: Code) => Code,
  narrow: (p: Code) => Code,
): number[] {
  const [position, even] = [code.local(I32), code.local(I32)];
  const p = local.get(position);
  const loop = (body: Code, step: number, end: number) => {
    const isBelow = i32.ltU(p, local.get(end));
    return control.when(isBelow, control.repeat([...body, ...increase(position, i32.const(step))], isBelow));
  };
  return [
    ...local.set(even, i32.and(local.get(bytes), i32.const(-PASS_BYTES))),
    ...local.set(position, i32.const(0)),
    ...loop(wide(p), PASS_BYTES, even),
    ...loop(narrow(p), 4, bytes),
  ];
}

/** Locals of a row of the matrix, of a vector, and of their product. */
type Row = { readonly address: number; readonly index: number };
type Vector = { readonly from: number; readonly to: number; readonly four: number };
type Cell = { readonly row: Row; readonly vector: Vector; readonly sum: number };

const nameOf = (rows: number, vectors: number): string => `rows${rows}x${vectors}`;

/**
 * y[c][r] += sum over i of w[r][i] x[c][i]: `rows` rows at a time, for `vectors` vectors.
 * Parameters: w, its row's bytes, x, bytes from one to the next, y, bytes from one to the next, bytes of x, passes.
 */
function productFunction(rows: number, vectors: number): WasmFunction {
  const product = new FunctionBuilder(nameOf(rows, vectors));
  const parameter = () => product.parameter(I32);
  const [w, wStride, x, xStride] = [parameter(), parameter(), parameter(), parameter()];
  const [y, yStride, bytes, passes] = [parameter(), parameter(), parameter(), parameter()];
  const rowLocals = Array.from({ length: rows }, (_, index): Row => ({ address: product.local(I32), index }));
  const vectorLocals = Array.from(
    { length: vectors },
    (): Vector => ({ from: product.local(I32), to: product.local(I32), four: product.local(V128) }),
  );
  const cells = rowLocals.flatMap((row) =>
    vectorLocals.map((vector): Cell => ({ row, vector, sum: product.local(V128) })),
  );
  const wide = wideOf(product.local(V128), rowLocals, vectorLocals, cells);
  const pass = [
    ...spread(
      rowLocals.map(({ address }) => address),
      local.get(w),
      local.get(wStride),
    ),
    ...spread(
      vectorLocals.map(({ from }) => from),
      local.get(x),
      local.get(xStride),
    ),
    ...spread(
      vectorLocals.map(({ to }) => to),
      local.get(y),
      local.get(yStride),
    ),
    ...cells.flatMap(({ sum }) => local.set(sum, f32x4.splat(f32.const(0)))),
    ...sweep(product, bytes, wide, (p) => narrowOf(cells, p)),
    ...cells.flatMap((cell) => addTo(cell, lanesOf(cell.sum))),
    ...increase(w, i32.mul(local.get(wStride), i32.const(rows))),
    ...increase(y, i32.const(4 * rows)),
  ];
  const left = local.tee(passes, i32.sub(local.get(passes), i32.const(1)));
  return product.build(control.repeat(pass, left));
}

/** Adds eight products to the four lanes of each cell's sum. */
const wideOf =
  (rowFour: number, rows: readonly Row[], vectors: readonly Vector[], cells: readonly Cell[]) =>
  (p: Code): number[] =>
    HALVES.flatMap((offset) => [
      ...vectors.flatMap(({ from, four }) =>
        local.set(four, v128.load(i32.add(local.get(from), p), { offset })),
      ),
      ...rows.flatMap((row) => [
        ...local.set(rowFour, v128.load(i32.add(local.get(row.address), p), { offset, ...MATRIX })),
        ...cells
          .filter((cell) => cell.row === row)
          .flatMap(({ vector, sum }) => {
            const next = f32x4.relaxedMadd(local.get(vector.four), local.get(rowFour), local.get(sum));
            return local.set(sum, next);
          }),
      ]),
    ]);

/** Adds one product to each cell's result. */
const narrowOf = (cells: readonly Cell[], p: Code): number[] =>
  cells.flatMap((cell) => {
    const weight = f32.load(i32.add(local.get(cell.row.address), p), MATRIX);
    return addTo(cell, f32.mul(weight, f32.load(i32.add(local.get(cell.vector.from), p))));
  });

/** Adds a value to a cell's result in memory. */
function addTo({ row, vector }: Cell, value: Code): number[] {
  const [to, element] = [local.get(vector.to), { offset: 4 * row.index }];
  return f32.store(to, f32.add(f32.load(to, element), value), element);
}

function lanesOf(sum: number): number[] {
  const lane = (i: number) => f32x4.extractLane(local.get(sum), i);
  return f32.add(f32.add(lane(0), lane(1)), f32.add(lane(2), lane(3)));
}

/** A product takes its vectors in fours, twos and ones, and so many rows at a time. */
const SIZES = [
  { vectors: 4, rows: 2 },
  { vectors: 2, rows: 4 },
  { vectors: 1, rows: 8 },
] as const;

export const productFunctions = (): WasmFunction[] =>
  SIZES.flatMap(({ vectors, rows }) => [productFunction(rows, vectors), productFunction(1, vectors)]);

/** The functions that multiply some vectors. */
export type ProductKernel = {
  readonly vectors: number;
  readonly rows: number;
  /** Takes `rows` rows in a pass. */
  readonly many: ExportedFunction;
  /** Takes one row in a pass. */
  readonly one: ExportedFunction;
};

/** @param functionOf gives a function of the module by its name */
export const productKernels = (functionOf: (name: string) => ExportedFunction): ProductKernel[] =>
  SIZES.map(({ vectors, rows }) => ({
    vectors,
    rows,
    many: functionOf(nameOf(rows, vectors)),
    one: functionOf(nameOf(1, vectors)),
  }));

/** Rows of a matrix that multiply some vectors. Offsets and strides are in bytes. */
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

/** The part of a matrix that all vectors take in turn, small enough for the processor's second-level cache. */
const BLOCK_BYTES = 1 << 18;

/** to[c][r] += sum over i of matrix[r][i] from[c][i]. A sum does not depend on how many rows or vectors there are. */
export function multiply(
  { products }: { readonly products: readonly ProductKernel[] },
  product: Product,
): void {
  const { rows, width, vectors } = product;
  const rowsAtOnce = vectors === 1 ? rows : Math.max(8, Math.floor(BLOCK_BYTES / (32 * width)) * 8);
  for (let first = 0; first < rows; first += rowsAtOnce) {
    const count = Math.min(rowsAtOnce, rows - first);
    let vector = 0;
    for (const kernel of products) {
      for (; vector + kernel.vectors <= vectors; vector += kernel.vectors) {
        multiplyBlock(kernel, product, { first, count, vector });
      }
    }
  }
}

/** Some rows, and the first of the vectors that a kernel takes. */
type Block = { readonly first: number; readonly count: number; readonly vector: number };

function multiplyBlock(kernel: ProductKernel, p: Product, { first, count, vector }: Block): void {
  const from = p.from + vector * p.fromStride;
  const to = p.to + vector * p.toStride;
  const bytes = 4 * p.width;
  const passes = Math.floor(count / kernel.rows);
  const last = first + passes * kernel.rows;
  const left = count - passes * kernel.rows;
  const start = p.matrix + first * p.stride;
  const end = p.matrix + last * p.stride;
  if (passes > 0) {
    kernel.many(start, p.stride, from, p.fromStride, to + 4 * first, p.toStride, bytes, passes);
  }
  if (left > 0) kernel.one(end, p.stride, from, p.fromStride, to + 4 * last, p.toStride, bytes, left);
}
