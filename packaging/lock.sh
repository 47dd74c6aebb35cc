#!/bin/sh
# Writes the hash-pinned requirements anew from pyproject.toml. Needs `uv`; run by developers only.
set -eu
cd "$(dirname "$0")/.."
export UV_CUSTOM_COMPILE_COMMAND="packaging/lock.sh"
common="--universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --only-binary :all: --quiet"
# shellcheck disable=SC2086
uv pip compile $common "$@" pyproject.toml --group build -o packaging/requirements.txt
# shellcheck disable=SC2086
uv pip compile $common "$@" pyproject.toml --group build --group dev -o packaging/requirements-dev.txt
