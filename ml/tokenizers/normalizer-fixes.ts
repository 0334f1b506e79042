import {
  BertNormalizer,
  LowercaseNormalizer,
  type Normalizer,
  PrecompiledNormalizer,
  SequenceNormalizer,
} from "@huggingface/tokenizers";
import { charsmapOf } from "./precompiled-charsmap.ts";

/**
 * The normalizer as Hugging Face's own tokenizers have it, where the JavaScript library does something else: capital
 * sigma at a word's end, rare ideographs, characters without a meaning, SentencePiece's table.
 *
 * @throws CorruptData when the table is damaged
 */
export function exactNormalizer(normalizer: Normalizer | null, what: string): Normalizer | null {
  if (normalizer instanceof SequenceNormalizer) {
    normalizer.normalizers = normalizer.normalizers.map((each) => exactNormalizer(each, what));
  }
  if (normalizer instanceof BertNormalizer) return new ExactBert(normalizer.config);
  if (normalizer instanceof LowercaseNormalizer) return new ExactLowercase(normalizer.config);
  if (normalizer instanceof PrecompiledNormalizer) return new ExactPrecompiled(normalizer.config, what);
  return normalizer;
}

class ExactBert extends BertNormalizer {
  override normalize(text: string): string {
    const { clean_text, handle_chinese_chars, strip_accents, lowercase: lower } = this.config;
    let now = text;
    if (clean_text) now = now.replace(CONTROL, "").replace(/\p{White_Space}/gu, " ");
    if (handle_chinese_chars) now = now.replace(IDEOGRAPH, " $& ");
    if (strip_accents ?? lower) now = now.normalize("NFD").replace(/\p{Mn}/gu, "");
    return lower ? lowercase(now) : now;
  }
}

/** Everything that is "other" to Unicode but tab and line breaks, and the replacement character. */
const CONTROL = /(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}\p{Cs}\uFFFD]/gu;
const IDEOGRAPH =
  /[\u4E00-\u9FFF\u3400-\u4DBF\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\uF900-\uFAFF\u{2F800}-\u{2FA1F}]/gu;

class ExactLowercase extends LowercaseNormalizer {
  override normalize(text: string): string {
    return lowercase(text);
  }
}

/** Character by character: JavaScript alone has another small sigma for the end of a word. */
const lowercase = (text: string): string => text.replaceAll("Σ", "σ").toLowerCase();

class ExactPrecompiled extends PrecompiledNormalizer {
  readonly #replace: (text: string) => string;

  constructor(config: PrecompiledNormalizer["config"], what: string) {
    super(config);
    this.#replace = charsmapOf(config.precompiled_charsmap, what);
  }

  override normalize(text: string): string {
    return this.#replace(text);
  }
}
