"""The same documents as parquet files of every kind: test/worker/parquet/.

Usage: parquet.py test/worker/parquet
"""

import os
import sys

import pyarrow as pa
import pyarrow.parquet as pq

DOCUMENTS = ["first document\n", "", "zweites Dokument: \u00e4\u00f6\u00fc \u4e16\u754c \U0001f642", "last, and a repeat. " * 20]
folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
table = pa.table({"id": list(range(4)), "text": DOCUMENTS})
for codec in ["none", "snappy", "gzip", "zstd", "brotli"]:
    pq.write_table(table, f"{folder}/{codec}.parquet", compression=codec, row_group_size=3)
pq.write_table(table, f"{folder}/version2.parquet", data_page_version="2.0", use_dictionary=False)
pq.write_table(pa.table({"text": ["a", None, "b"]}), f"{folder}/null.parquet")
