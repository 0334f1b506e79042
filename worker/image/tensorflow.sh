#!/bin/sh
# Native TensorFlow for $DEVICE, into $PS_CACHE_DIR: the long download, before the sources that change often.
set -eu
cd "$(dirname "$0")/../.."
PS_TENSORFLOW_DEVICE="$DEVICE" node scripts/install.mjs
