#!/bin/sh
# Installs the packages that package-lock.json names, with npm or, where there is none, with bun. Does nothing when
# they are installed already: a node that runs from this folder keeps its files.
set -eu
cd "$(dirname "$0")/.."
stamp=node_modules/.installed-lock
if cmp -s package-lock.json "$stamp"; then exit 0; fi
if command -v npm >/dev/null 2>&1; then
  npm ci --no-audit --no-fund
else
  bun install --frozen-lockfile
fi
cp package-lock.json "$stamp"
