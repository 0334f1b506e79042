/** Writes docs/jobs.md from the JSON Schema of a job file and from the defaults themselves. */
import type { z } from "zod";
import { Bug } from "../protocol/errors.ts";
import { completeOptimizer, defaultBatch } from "../protocol/job-defaults.ts";
import { FAMILY_NAMES, type ModelSpec, modelSchema } from "../protocol/model-spec.ts";
import { at } from "../protocol/required.ts";

export const jobsPageFile = new URL("../docs/jobs.md", import.meta.url);

type Schema = z.core.JSONSchema.BaseSchema;

const INTRODUCTION = `# Job files

A job file is JSON. It needs only a model, data and a number of steps:

\`\`\`json
{
  "model": { "type": "gpt2", "layers": 4, "heads": 4, "width": 128, "context": 64 },
  "data": "my.txt",
  "steps": 500
}
\`\`\`

- \`npx ps-submit job.json --print\` shows the job with every default filled in, and runs nothing.
- \`--set field=value\` overrides a field: \`--set steps=20 --set optimizer.learningRate=1e-3\`.
- \`"$schema": "../job.schema.json"\` gives an editor completion and help.
- [examples/](../examples) has job files to start from.

This page is generated: \`npm run schema\` writes it from \`protocol/*-spec.ts\` and \`protocol/job.ts\`.
`;

const RESULTS = `## What the defaults give

All were tried on the embedded target, on 2 CPU cores, with \`examples/data/tinyshakespeare.txt\` as characters (65 distinct) and models
of width 128 with 4 heads. The losses are in nats per predicted character, over 20 held-out batches.

Held-out loss of [examples/minimal.json](../examples/minimal.json), which has defaults only, after its 500 steps: gpt2 2.159; with
\`--set model.type=llama\` 1.904, with \`--set model.type=bert\` 3.079.

The learning rate was chosen from these runs, which have a warm-up of a tenth of the steps and a cosine decay to 0.0001 (0.0002 in the
last row):

| model | steps | batch | learning rate 0.001 | **0.002 (default)** | 0.004 |
|---|---|---|---|---|---|
| gpt2, 4 layers, context 64 | 300 | 16 | 2.374 | **2.359** | 2.305 |
| llama, 4 layers, context 64 | 300 | 16 | 2.027 | **1.991** | 2.029 |
| bert, 2 layers, context 32 | 300 | 32 | 3.033 | **2.957** | 3.056 |
| gpt2, 4 layers, context 64 | 1000 | 16 | | **1.983** | |

The learning rate of a gpt2, llama or bert is 0.5 / width, at most 0.002. Width 768 then has 0.00065 and width 1024 0.00049; GPT-3's
authors took 0.0006 for 768 and 0.0003 for 1024.
`;

const OPTIMIZER = `An optimizer without a \`type\` is AdamW with settings that suit the model, and any of them may be overridden:
\`"optimizer": { "learningRate": 0.001 }\`. One with a \`type\` has the defaults of that type only, which are PyTorch's, and
needs a \`learningRate\`.
`;

/** @param schema of a job file */
export function jobsPage(schema: Schema): string {
  const fields = schema.properties ?? {};
  return [
    INTRODUCTION,
    `## Fields\n\n${table(rowsOf(schema))}`,
    `## model\n\n${variants(schemaAt(fields, "model"))}`,
    `## data\n\nA string is the path of a text: \`"data": "my.txt"\`.\n\n${variants(dataVariants(fields))}`,
    `## tokenizer\n\n${tokenizerTable(schemaAt(fields, "tokenizer"))}`,
    `## optimizer\n\n${OPTIMIZER}\n${optimizerSection(schemaAt(fields, "optimizer"))}`,
    RESULTS,
  ].join("\n");
}

function optimizerSection(optimizer: Schema): string {
  const branches = branchesOf(optimizer);
  const typed = branches.filter((branch) => typeOf(branch) !== null);
  const untyped = branches.filter((branch) => typeOf(branch) === null);
  const schedulesOf = (optimizers: readonly Schema[]) =>
    optimizers.slice(0, 1).map((one) => schemaAt(one.properties ?? {}, "schedule"));
  const { schedule, ...settings } = commonDefaults();
  return [
    `### Without a type\n\n${defaultsTable()}`,
    table(untyped.flatMap(rowsOf).map((row) => withDefault(row, settings))),
    "Fields of `optimizer.schedule`:\n",
    table(
      schedulesOf(untyped)
        .flatMap(rowsOf)
        .map((row) => withDefault(row, schedule)),
    ),
    "### With a type\n",
    mergedTable(typed),
    "Fields of `optimizer.schedule`:\n",
    table(schedulesOf(typed).flatMap(rowsOf)),
  ].join("\n");
}

const STEPS = 1000;
const SIZES = [
  { width: 128, context: 64 },
  { width: 384, context: 256 },
  { width: 768, context: 512 },
];
const LARGE = { width: 1024, context: 1024 };

/** Models of some sizes, and one of each other type. */
function someModels(): ModelSpec[] {
  const sized = (type: string, size: object) => ({ type, layers: 4, heads: 4, ...size });
  return [
    ...FAMILY_NAMES.map((type, i) => sized(type, at(SIZES, i % SIZES.length, "size of a model"))),
    sized(at(FAMILY_NAMES, 0, "family"), LARGE),
    { type: "pretrained", from: "gpt2/" },
    { type: "module", module: "mine.ts" },
    { type: "linear", inputs: 10, outputs: 10 },
  ].map((model) => modelSchema.parse(model));
}

/** Defaults for some models, computed by the code that fills them in. */
function defaultsTable(): string {
  const head =
    `| default for ${STEPS} steps of | batch | learningRate | warmup | minLearningRate | weightDecay |\n` +
    "|---|---|---|---|---|---|\n";
  const rows = someModels().map((model) => {
    const { learningRate, schedule, weightDecay } = completeOptimizer(undefined, model, STEPS);
    const { warmup, minLearningRate } = schedule;
    const cells = [nameOf(model), defaultBatch(model), learningRate, warmup, minLearningRate, weightDecay];
    return `| ${cells.join(" | ")} |\n`;
  });
  return head + rows.join("");
}

const nameOf = (model: ModelSpec): string =>
  "width" in model ? `${model.type}, width ${model.width}, context ${model.context}` : model.type;

type Defaults = Readonly<Record<string, unknown>>;

/** The settings of a default optimizer that are the same for all models and steps. */
function commonDefaults(): Defaults & { readonly schedule: Defaults } {
  const all = someModels().map((model, i) => completeOptimizer(undefined, model, STEPS + i * STEPS));
  const same = (settings: readonly object[]): Defaults =>
    Object.fromEntries(
      Object.entries(settings[0] ?? {}).filter(([name, value]) =>
        settings.every((one) => Object.entries(one).some(([key, its]) => key === name && its === value)),
      ),
    );
  return { ...same(all), schedule: same(all.map(({ schedule }) => schedule)) };
}

function withDefault(row: Row, defaults: Defaults): Row {
  const computed = row.name in defaults ? { default: defaults[row.name] } : {};
  const { description: meaning = "" } = row.schema;
  const hasDefault = /Default: /.test(meaning) || "default" in computed;
  const description = hasDefault ? meaning : `${meaning} Default: see above.`;
  return { ...row, schema: { ...row.schema, ...computed, description } };
}

type Row = {
  readonly name: string;
  readonly schema: Schema;
  readonly required: boolean;
};

function rowsOf(schema: Schema): Row[] {
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {}).flatMap(([name, value]) =>
    typeof value === "boolean" || value.not ? [] : [{ name, schema: value, required: required.has(name) }],
  );
}

const HEAD = "| field | type | default | meaning | example |\n|---|---|---|---|---|\n";

const table = (rows: readonly Row[]): string =>
  HEAD + rows.map((row) => `| ${cellsOf(row).join(" | ")} |\n`).join("");

/** A table of all fields of all variants, with the variants that have each. */
function mergedTable(branches: readonly Schema[]): string {
  const rows = new Map<string, { readonly cells: string[]; readonly types: string[] }>();
  for (const branch of branches) {
    for (const row of rowsOf(branch).filter(({ name }) => name !== "type")) {
      const cells = cellsOf(row);
      const key = JSON.stringify(cells);
      const type = typeOf(branch) ?? "";
      rows.set(key, { cells, types: [...(rows.get(key)?.types ?? []), type] });
    }
  }
  const head = HEAD.replace("| field |", "| of type | field |").replace("|---|", "|---|---|");
  const lines = [...rows.values()].map(({ cells, types }) => {
    const which = types.length === branches.length ? "any" : types.join(", ");
    return `| ${[which, ...cells].join(" | ")} |\n`;
  });
  return head + lines.join("");
}

function variants(union: Schema): string {
  return branchesOf(union)
    .map((branch) => `### ${typeOf(branch)}\n\n${branch.description ?? ""}\n\n${table(rowsOf(branch))}`)
    .join("\n");
}

function cellsOf({ name, schema, required }: Row): string[] {
  const [meaning = "", otherwise] = (schema.description ?? "").split(/ ?Default: /);
  const fallback =
    schema.default === undefined ? (otherwise ?? (required ? "required" : "")) : code(schema.default);
  const example = schema.examples?.[0] ?? schema.const ?? schema.default;
  return [
    `\`${name}\``,
    typeText(schema),
    fallback.replace(/\.$/, ""),
    meaning,
    example === undefined ? "" : code(example),
  ].map(escaped);
}

/** A type in words: `whole number, at least 1`. */
function typeText(schema: Schema): string {
  if (schema.const !== undefined) return code(schema.const);
  if (schema.enum) return schema.enum.map(code).join(" or ");
  const options = branchesOf(schema);
  if (options.length > 0) return [...new Set(options.map(typeText))].join(" or ");
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema;
  const limits = [
    minimum === undefined ? null : `at least ${minimum}`,
    exclusiveMinimum === undefined ? null : `above ${exclusiveMinimum}`,
    maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? null : `at most ${maximum}`,
    exclusiveMaximum === undefined ? null : `below ${exclusiveMaximum}`,
  ].filter((limit) => limit !== null);
  const name = schema.type === "integer" ? "whole number" : schema.type === "array" ? "list" : schema.type;
  return [name ?? "", ...limits].join(", ");
}

const branchesOf = ({ oneOf, anyOf }: Schema): Schema[] =>
  (oneOf ?? anyOf ?? []).filter((branch) => typeof branch !== "boolean");

/** The objects that `data` may be; it may be a string too. */
const dataVariants = (fields: Fields): Schema =>
  branchesOf(schemaAt(fields, "data")).find((branch) => branch.type !== "string") ?? {};

/** A row for each form of a tokenizer. */
function tokenizerTable(tokenizer: Schema): string {
  const forms = branchesOf(tokenizer).map((branch) => {
    if (branch.const !== undefined) return [code(branch.const), branch.description ?? ""];
    const [[name, field] = ["", {}]] = Object.entries(branch.properties ?? {});
    const value = typeof field === "boolean" ? field : (field.examples?.[0] ?? exampleOf(field));
    const meaning = branch.description ?? "";
    return [code({ [name]: value }), meaning];
  });
  return `| form | meaning |\n|---|---|\n${forms.map((cells) => `| ${cells.map(escaped).join(" | ")} |\n`).join("")}`;
}

/** An object of the examples of its fields. */
const exampleOf = (schema: Schema): Defaults =>
  Object.fromEntries(rowsOf(schema).map((row) => [row.name, row.schema.examples?.[0]]));

type Fields = NonNullable<Schema["properties"]>;

function schemaAt(fields: Fields, name: string): Schema {
  const schema = fields[name];
  if (schema === undefined || typeof schema === "boolean") throw new Bug(`a job file has no field ${name}`);
  return schema;
}

const typeOf = (branch: Schema): string | null => {
  const { type } = branch.properties ?? {};
  return typeof type === "object" && typeof type.const === "string" ? type.const : null;
};

const code = (value: unknown): string =>
  `\`${JSON.stringify(value, null, 1)
    .replaceAll(/\n\s*/g, " ")
    .replaceAll(/(?<=\[) | (?=\])/g, "")}\``;

/** A vertical bar would end the cell. */
const escaped = (text: string): string => text.replaceAll("|", "\\|");
