/**
 * The classes of the library that its own declarations lose: they are re-exported from paths without an extension,
 * which TypeScript does not follow for an ES module. Version 0.2.0.
 */
declare module "@huggingface/tokenizers" {
  class Tokenizer {
    constructor(tokenizer: object, config: object);
    normalizer: Normalizer | null;
    pre_tokenizer: PreTokenizer | null;
    decoder: Decoder | null;
    /** The tokens of each word. */
    readonly model: (words: readonly string[]) => string[];
    encode_text: (text: string | null) => string[] | null;
    encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] };
    decode(ids: number[], options: { skip_special_tokens: boolean }): string;
    get_vocab(withAdded: boolean): Map<string, number>;
  }

  class Normalizer {
    constructor(config: object);
    readonly config: Readonly<Record<string, unknown>>;
    normalize(text: string): string;
  }
  class SequenceNormalizer extends Normalizer {
    normalizers: (Normalizer | null)[];
  }
  class BertNormalizer extends Normalizer {}
  class LowercaseNormalizer extends Normalizer {}
  class PrecompiledNormalizer extends Normalizer {}

  class PreTokenizer {
    constructor(config: object);
    readonly config: object;
    pre_tokenize_text(text: string): string[];
    pre_tokenize(text: string, options: { section_index: number }): string[];
  }
  class SequencePreTokenizer extends PreTokenizer {
    tokenizers: (PreTokenizer | null)[];
  }
  class ByteLevelPreTokenizer extends PreTokenizer {
    readonly add_prefix_space: boolean;
    readonly use_regex: boolean;
  }

  class Decoder {}
  class SequenceDecoder extends Decoder {
    readonly decoders: readonly Decoder[];
  }
  class ByteFallbackDecoder extends Decoder {
    text_decoder: import("node:util").TextDecoder;
  }
}

export {};
