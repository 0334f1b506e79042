import { ByteLevelPreTokenizer, type PreTokenizer, SequencePreTokenizer } from "@huggingface/tokenizers";
import { BYTE_CHARACTERS } from "./byte-level.ts";
import { forEachWord } from "./gpt2-words.ts";

/** The pre-tokenizer as Hugging Face's own tokenizers have it; the JavaScript library knows other spaces. */
export function exactPreTokenizer(preTokenizer: PreTokenizer | null): PreTokenizer | null {
  if (preTokenizer instanceof SequencePreTokenizer) {
    preTokenizer.tokenizers = preTokenizer.tokenizers.map(exactPreTokenizer);
  }
  return preTokenizer instanceof ByteLevelPreTokenizer
    ? new ExactByteLevel(preTokenizer.config)
    : preTokenizer;
}

class ExactByteLevel extends ByteLevelPreTokenizer {
  override pre_tokenize_text(text: string): string[] {
    const whole = this.add_prefix_space && !text.startsWith(" ") ? ` ${text}` : text;
    if (!this.use_regex) return [inBytes(whole)];
    const words: string[] = [];
    forEachWord(whole, (word) => words.push(inBytes(word)));
    return words;
  }
}

const inBytes = (word: string): string =>
  Array.from(Buffer.from(word), (byte) => BYTE_CHARACTERS[byte]).join("");
