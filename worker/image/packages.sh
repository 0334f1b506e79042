#!/bin/sh
# The packages of package-lock.json, those that build the worker among them.
set -eu
cd "$(dirname "$0")/../.."
npm ci --ignore-scripts --no-audit
