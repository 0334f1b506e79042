import { CorruptData, InvalidInput } from "../../protocol/errors.ts";
import { encodeJson } from "../../protocol/json.ts";
import { valueAs } from "../../protocol/parse.ts";
import { type AddedToken, addedToken, addedTokenSchema, contentOf, SPECIAL_NAMES } from "./special-tokens.ts";

/**
 * Tokenizers of checkpoints from before `tokenizer.json`: `vocab.txt` (BERT's WordPiece), or `vocab.json` and
 * `merges.txt` (GPT-2's byte-level BPE). Made into the `tokenizer.json` that `transformers` makes of them.
 */
export const VOCABULARY_FILES = [
  "vocab.txt",
  "vocab.json",
  "merges.txt",
  "added_tokens.json",
  "special_tokens_map.json",
  "tokenizer_config.json",
] as const;

/** The files of a directory by name; one that is not there is left out, or null. */
export type Files = Readonly<Record<string, Uint8Array | null>>;

export type Made = {
  /** `tokenizer.json` and `tokenizer_config.json`. */
  readonly files: Readonly<Record<string, Uint8Array>>;
  /** What was done, for people. */
  readonly note: string;
};

type Json = Readonly<Record<string, unknown>>;

/** A kind of tokenizer that has such files. */
type Kind = {
  readonly classes: RegExp;
  /** Written where the configuration names no class. */
  readonly usualClass: string;
  /** The special tokens where the configuration names none. */
  readonly special: Json;
  readonly from: string;
  vocabulary(files: Files, directory: string): Map<string, number>;
  parts(files: Files, settings: Settings, directory: string): Json;
};

type Settings = {
  readonly config: Json;
  readonly vocab: ReadonlyMap<string, number>;
  /** The id of a special token by its name, `cls` or `bos`. */
  special(name: string): { readonly content: string; readonly id: number };
};

/**
 * Makes a `tokenizer.json`; null where the files are not there.
 *
 * @param directory names the files in errors
 * @throws InvalidInput for a kind of tokenizer that these files are not enough for
 * @throws CorruptData when a file is damaged
 */
export function fromVocabularyFiles(files: Files, directory: string): Made | null {
  const kind = files["vocab.json"] && files["merges.txt"] ? BPE : files["vocab.txt"] ? WORD_PIECE : null;
  if (!kind) return null;
  const map = json(files, "special_tokens_map.json", directory);
  const named = namedTokens(json(files, "tokenizer_config.json", directory), map, kind);
  const config: Json = { tokenizer_class: kind.usualClass, ...named };
  if (!kind.classes.test(String(config.tokenizer_class))) {
    throw new InvalidInput(
      `${directory} must have a tokenizer.json, as its tokenizer_class ${config.tokenizer_class} needs more than ` +
        `${kind.from}; make one: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR) in Python's transformers`,
    );
  }
  const vocab = kind.vocabulary(files, directory);
  const added = addedTokens(config, json(files, "added_tokens.json", directory), vocab, directory);
  const special = (name: string) => {
    const content = contentOf(config[`${name}_token`]) ?? "";
    return { content, id: added.find((token) => token.content === content)?.id ?? 0 };
  };
  const tokenizer = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added,
    ...kind.parts(files, { config, vocab, special }, directory),
  };
  return {
    files: { "tokenizer.json": encodeJson(tokenizer), "tokenizer_config.json": encodeJson(config) },
    note: `${directory} has no tokenizer.json; it is made from ${kind.from}`,
  };
}

/** The configuration with every special token that it, the map or the kind has. */
function namedTokens(config: Json, map: Json, { special }: Kind): Json {
  const named = SPECIAL_NAMES.flatMap((name) => {
    const field = `${name}_token`;
    const token = config[field] === undefined ? (map[field] ?? special[field]) : config[field];
    return token === undefined ? [] : [[field, asAddedToken(token)] as const];
  });
  return { ...config, ...Object.fromEntries(named) };
}

/** As `tokenizer_config.json` has a token with settings of its own; the other files have it without its type. */
const asAddedToken = (token: unknown): unknown =>
  contentOf(token) === undefined || typeof token === "string"
    ? token
    : { __type: "AddedToken", ...jsonOf(token) };

/** In the order in which `transformers` numbers those that the vocabulary lacks: declared ones, then special ones. */
function addedTokens(
  config: Json,
  more: Json,
  vocab: ReadonlyMap<string, number>,
  directory: string,
): AddedToken[] {
  const tokens = new Map<string, AddedToken>();
  let next = vocab.size;
  const add = (given: unknown, isSpecial: boolean, wanted?: number) => {
    const content = contentOf(given);
    if (content === undefined || content === "" || tokens.has(content)) return;
    const id = vocab.get(content) ?? next++;
    if (wanted !== undefined && wanted !== id) {
      throw new CorruptData(
        `${directory}: the added token ${JSON.stringify(content)} must have the id ${id}, got ${wanted}`,
      );
    }
    const flags = typeof given === "object" && given !== null ? given : addedToken(content, id);
    const what = `${directory}: the added token ${JSON.stringify(content)}`;
    tokens.set(content, {
      ...valueAs(addedTokenSchema, { ...flags, content, id }, what),
      special: isSpecial,
    });
  };
  const named = SPECIAL_NAMES.map((name) => config[`${name}_token`]);
  const listed = [config.additional_special_tokens, config.extra_special_tokens].flatMap((list) =>
    Array.isArray(list) ? list : [],
  );
  const contents = new Set([...named, ...listed].map(contentOf));
  for (const [id, token] of byId(jsonOf(config.added_tokens_decoder))) {
    add(token, jsonOf(token).special === true || contents.has(contentOf(token)), id);
  }
  for (const [id, content] of byId(inverse(more))) {
    const own = named.find((token) => contentOf(token) === content);
    const isSpecial = contents.has(String(content));
    add(own ?? { content, normalized: !isSpecial }, isSpecial, id);
  }
  for (const token of [...named, ...listed]) add(token, true);
  return [...tokens.values()].sort((a, b) => a.id - b.id);
}

const byId = (tokens: Json): [number, unknown][] =>
  Object.entries(tokens)
    .map(([id, token]): [number, unknown] => [Number(id), token])
    .sort(([a], [b]) => a - b);

const inverse = (tokens: Json): Json =>
  Object.fromEntries(Object.entries(tokens).map(([content, id]) => [String(id), content]));

const WORD_PIECE: Kind = {
  classes: /^(Bert|DistilBert|Electra)Tokenizer(Fast)?$/,
  usualClass: "BertTokenizer",
  special: {
    unk_token: "[UNK]",
    sep_token: "[SEP]",
    pad_token: "[PAD]",
    cls_token: "[CLS]",
    mask_token: "[MASK]",
  },
  from: "vocab.txt",
  vocabulary: (files, directory) =>
    new Map(lines(files, "vocab.txt", directory).map((token, id) => [token.trimEnd(), id] as const)),
  parts(_, { config, vocab, special }) {
    const [cls, sep] = [special("cls"), special("sep")];
    const { do_lower_case: lowercase = true, tokenize_chinese_chars: handle_chinese_chars = true } = config;
    const { strip_accents = null } = config;
    return {
      normalizer: {
        type: "BertNormalizer",
        clean_text: true,
        handle_chinese_chars,
        strip_accents,
        lowercase,
      },
      pre_tokenizer: { type: "BertPreTokenizer" },
      post_processor: template([cls], [sep]),
      decoder: { type: "WordPiece", prefix: "##", cleanup: true },
      model: {
        type: "WordPiece",
        unk_token: contentOf(config.unk_token),
        continuing_subword_prefix: "##",
        max_input_chars_per_word: 100,
        vocab: Object.fromEntries(vocab),
      },
    };
  },
};

const END = "<|endoftext|>";

const BPE: Kind = {
  classes: /^GPT2Tokenizer(Fast)?$/,
  usualClass: "GPT2Tokenizer",
  special: { unk_token: END, bos_token: END, eos_token: END },
  from: "vocab.json and merges.txt",
  vocabulary(files, directory) {
    const ids = Object.entries(json(files, "vocab.json", directory));
    const wrong = ids.find(([, id]) => !Number.isSafeInteger(id));
    if (ids.length > 0 && !wrong) return new Map(ids as [string, number][]);
    throw new CorruptData(`${directory}/vocab.json must give every token an id, got ${wrong ?? "no tokens"}`);
  },
  parts(files, { config, vocab, special }, directory) {
    const prefix = config.add_prefix_space === true;
    return {
      normalizer: null,
      pre_tokenizer: { type: "ByteLevel", add_prefix_space: prefix, trim_offsets: true, use_regex: true },
      post_processor: config.add_bos_token === true ? template([special("bos")], []) : null,
      decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: {
        type: "BPE",
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: "",
        end_of_word_suffix: "",
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Object.fromEntries(vocab),
        merges: mergesOf(files, directory),
      },
    };
  },
};

function mergesOf(files: Files, directory: string): [string, string][] {
  const rules = lines(files, "merges.txt", directory).filter((line) => !line.startsWith("#version"));
  return rules.flatMap((line, i): [string, string][] => {
    if (line === "") return [];
    const [left, right, ...more] = line.split(" ");
    if (left && right && more.length === 0) return [[left, right]];
    throw new CorruptData(
      `${directory}/merges.txt: rule ${i + 1} must be two tokens, got ${JSON.stringify(line)}`,
    );
  });
}

type Special = ReturnType<Settings["special"]>;

/** Puts tokens around a text, or around each of two. */
function template(before: readonly Special[], after: readonly Special[]): Json {
  const token = ({ content }: Special, type_id: number) => ({ SpecialToken: { id: content, type_id } });
  const part = (id: "A" | "B", type_id: 0 | 1, start: readonly Special[]) => [
    ...start.map((each) => token(each, type_id)),
    { Sequence: { id, type_id } },
    ...after.map((each) => token(each, type_id)),
  ];
  // Only a text's end is marked twice: what begins a pair begins it once, unless nothing ends its parts.
  const again = after.length === 0 ? before : [];
  return {
    type: "TemplateProcessing",
    single: part("A", 0, before),
    pair: [...part("A", 0, before), ...part("B", 1, again)],
    special_tokens: Object.fromEntries(
      [...before, ...after].map(({ content, id }) => [
        content,
        { id: content, ids: [id], tokens: [content] },
      ]),
    ),
  };
}

/** Lines may end in CR LF; the last one may end in nothing. */
function lines(files: Files, name: string, directory: string): string[] {
  const text = decode(files[name], `${directory}/${name}`);
  return text.replace(/\r?\n$/, "").split(/\r?\n/);
}

function json(files: Files, name: string, directory: string): Json {
  const bytes = files[name];
  if (!bytes) return {};
  try {
    return jsonOf(JSON.parse(decode(bytes, `${directory}/${name}`)));
  } catch (cause) {
    throw new CorruptData(`${directory}/${name} is not JSON`, { cause });
  }
}

const jsonOf = (value: unknown): Json =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};

function decode(bytes: Uint8Array | null | undefined, what: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes ?? new Uint8Array());
  } catch (cause) {
    throw new CorruptData(`${what} is not UTF-8 text`, { cause });
  }
}
