import { CorruptData } from "../../protocol/errors.ts";
import { END_OF_TEXT } from "./special-tokens.ts";
import { jsonFile, linesOf, template, type VocabularyFiles, type VocabularyKind } from "./vocabulary-kind.ts";

/** GPT-2's byte-level BPE: `vocab.json` and `merges.txt`. */
export const BYTE_LEVEL_BPE: VocabularyKind = {
  classes: /^GPT2Tokenizer(Fast)?$/,
  defaultClass: "GPT2Tokenizer",
  defaultSpecial: { unk_token: END_OF_TEXT, bos_token: END_OF_TEXT, eos_token: END_OF_TEXT },
  from: "vocab.json and merges.txt",
  vocabulary(files, directory) {
    const ids = Object.entries(jsonFile(files, "vocab.json", directory));
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

function mergesOf(files: VocabularyFiles, directory: string): [string, string][] {
  const rules = linesOf(files, "merges.txt", directory).filter((line) => !line.startsWith("#version"));
  return rules.flatMap((line, i): [string, string][] => {
    if (line === "") return [];
    const [left, right, ...more] = line.split(" ");
    if (left && right && more.length === 0) return [[left, right]];
    throw new CorruptData(
      `${directory}/merges.txt: rule ${i + 1} must be two tokens, got ${JSON.stringify(line)}`,
    );
  });
}
