#!/bin/sh
# usage: DEVICE=gpu|cpu assemble.sh FOLDER
# Builds the worker, and puts it into a folder with all that it needs but the library in $PS_CACHE_DIR.
set -eu
cd "$(dirname "$0")/../.."
node scripts/build.mjs worker
node worker/image/assemble.mjs "$1"
