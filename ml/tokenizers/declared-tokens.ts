import { CorruptData } from "../../protocol/errors.ts";
import { valueAs } from "../../protocol/parse.ts";
import { type AddedToken, addedToken, addedTokenSchema } from "./added-tokens.ts";
import { contentOf, SPECIAL_NAMES } from "./special-tokens.ts";
import { asObject, type Json } from "./vocabulary-kind.ts";

/**
 * Returns the added tokens that `tokenizer_config.json` and `added_tokens.json` declare, by id. Tokens that the
 * vocabulary lacks are numbered in the order of `transformers`: declared ones, then special ones.
 *
 * @param more `added_tokens.json`: ids by content
 * @param directory names the files in errors
 * @throws CorruptData when a token is declared with another id than it has
 */
export function declaredTokens(
  config: Json,
  more: Json,
  vocab: ReadonlyMap<string, number>,
  directory: string,
): AddedToken[] {
  const tokens = new NumberedTokens(vocab, directory);
  const named = SPECIAL_NAMES.map((name) => config[`${name}_token`]);
  const listed = [config.additional_special_tokens, config.extra_special_tokens].flatMap((list) =>
    Array.isArray(list) ? list : [],
  );
  const special = new Set([...named, ...listed].map(contentOf));
  for (const [id, token] of byId(asObject(config.added_tokens_decoder))) {
    tokens.add(token, asObject(token).special === true || special.has(contentOf(token)), id);
  }
  for (const [id, content] of byId(inverse(more))) {
    const own = named.find((token) => contentOf(token) === content);
    const isSpecial = special.has(String(content));
    tokens.add(own ?? { content, normalized: !isSpecial }, isSpecial, id);
  }
  for (const token of [...named, ...listed]) tokens.add(token, true);
  return tokens.byId();
}

/** Tokens by content, each with its id in the vocabulary, or the next one past it. */
class NumberedTokens {
  readonly #tokens = new Map<string, AddedToken>();
  readonly #vocab: ReadonlyMap<string, number>;
  readonly #directory: string;
  #next: number;

  constructor(vocab: ReadonlyMap<string, number>, directory: string) {
    this.#vocab = vocab;
    this.#directory = directory;
    this.#next = vocab.size;
  }

  /**
   * Adds a token unless one of its content is there.
   *
   * @param declaration its content, or an object with its settings
   * @param declaredId the id that it must have
   */
  add(declaration: unknown, special: boolean, declaredId?: number): void {
    const content = contentOf(declaration);
    if (content === undefined || content === "" || this.#tokens.has(content)) return;
    const what = `${this.#directory}: the added token ${JSON.stringify(content)}`;
    const id = this.#vocab.get(content) ?? this.#next++;
    if (declaredId !== undefined && declaredId !== id) {
      throw new CorruptData(`${what} must have the id ${id}, got ${declaredId}`);
    }
    const settings = typeof declaration === "string" ? addedToken(content, id) : asObject(declaration);
    const token = valueAs(addedTokenSchema, { ...settings, content, id }, what);
    this.#tokens.set(content, { ...token, special });
  }

  byId(): AddedToken[] {
    return [...this.#tokens.values()].sort((a, b) => a.id - b.id);
  }
}

const byId = (tokens: Json): [number, unknown][] =>
  Object.entries(tokens)
    .map(([id, token]): [number, unknown] => [Number(id), token])
    .sort(([a], [b]) => a - b);

const inverse = (tokens: Json): Json =>
  Object.fromEntries(Object.entries(tokens).map(([content, id]) => [String(id), content]));
