import { contentOf } from "./special-tokens.ts";
import { linesOf, template, type VocabularyKind } from "./vocabulary-kind.ts";

/** BERT's WordPiece: `vocab.txt`. */
export const WORD_PIECE: VocabularyKind = {
  classes: /^(Bert|DistilBert|Electra)Tokenizer(Fast)?$/,
  defaultClass: "BertTokenizer",
  defaultSpecial: {
    unk_token: "[UNK]",
    sep_token: "[SEP]",
    pad_token: "[PAD]",
    cls_token: "[CLS]",
    mask_token: "[MASK]",
  },
  from: "vocab.txt",
  vocabulary: (files, directory) =>
    new Map(linesOf(files, "vocab.txt", directory).map((token, id) => [token.trimEnd(), id] as const)),
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
