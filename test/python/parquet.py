"""The same documents as parquet files of every kind: test/ml/data/parquet/.

Usage: parquet.py test/ml/data/parquet
"""

import os
import sys

import pyarrow as pa
import pyarrow.parquet as pq

DOCUMENTS = ["first document\n", "", "zweites Dokument: \u00e4\u00f6\u00fc \u4e16\u754c \U0001f642", "last, and a repeat. " * 20]
folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
table = pa.table({"id": list(range(4)), "text": DOCUMENTS})
for codec in ["none", "snappy", "gzip", "zstd", "brotli", "lz4"]:
    pq.write_table(table, f"{folder}/{codec}.parquet", compression=codec, row_group_size=3)
pq.write_table(table, f"{folder}/version2.parquet", data_page_version="2.0", use_dictionary=False)
pq.write_table(pa.table({"text": ["a", None, "b"]}), f"{folder}/null.parquet")
# Texts that are fields of a column, or elements of a list.
nested = {"meta": [{"a.b": {"text": text}, "n": i} for i, text in enumerate(DOCUMENTS)], "turns": [[{"role": "user", "content": "hi"}]] * 4}
pq.write_table(pa.table(nested), f"{folder}/nested.parquet")
# Bytes that are no UTF-8, and a byte order mark.
BYTES = [b"\xef\xbb\xbfbom", b"ok", b"caf\xe9"]
pq.write_table(pa.table({"text": pa.array(BYTES, pa.binary()), "good": pa.array(BYTES[:2] + [b"also"], pa.binary())}), f"{folder}/binary.parquet")
text = pa.StringArray.from_buffers(3, *pa.array(BYTES, pa.binary()).buffers()[1:])
pq.write_table(pa.table({"text": text}), f"{folder}/not-utf8.parquet")
