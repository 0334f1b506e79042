#!/bin/sh
# What the native library needs to be fetched and built on: pip, and a C++ compiler.
set -eu
apt-get update
apt-get install --yes --no-install-recommends g++ python3 python3-pip
rm -rf /var/lib/apt/lists/*
