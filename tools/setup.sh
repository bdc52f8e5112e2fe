#!/usr/bin/env bash
# Makes this folder ready to run:       tools/setup.sh
# and ready to test:                    tools/setup.sh test
#
# It installs what Debian or Ubuntu lacks when it may (root, or sudo without a password), creates .venv, installs the
# locked distributions into it by hash, and the browser libraries into web/. What is done is stamped with the hash of its
# lock, so a second run only compares hashes. PYTHON=… chooses the interpreter. CI=… leaves Chromium alone.
#
# Exit codes: 0 ready, 3 something is missing that this script may not install; the last line says what to type.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mode=${1:-run}
case $mode in
run | test | experiments) ;;
*)
    echo "usage: tools/setup.sh [run|test|experiments]" >&2
    exit 2
    ;;
esac

say() { printf 'setup: %s\n' "$*" >&2; }
stop() {
    say "$*"
    exit 3
}

# `make -j` and two terminals may get here together; the second waits, then finds the stamps. The script itself is the lock
# file: the one file certain to exist.
if command -v flock >/dev/null; then
    exec 9<"tools/setup.sh"
    flock 9
fi

# --- Debian packages -------------------------------------------------------------------------------------------------

as_root=()
may_install() {
    command -v apt-get >/dev/null || return 1
    [ "$(id -u)" = 0 ] && return 0
    # sudo -n fails instead of asking.
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        as_root=(sudo -n)
        return 0
    fi
    return 1
}

updated=
apt_install() {
    if [ -z "$updated" ]; then
        # A failed update (one broken source among several) need not mean that the packages cannot be had.
        "${as_root[@]}" apt-get -qq -o DPkg::Lock::Timeout=120 update >/dev/null || say "apt-get update failed; trying anyway"
        updated=yes
    fi
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
        -o DPkg::Lock::Timeout=120 install "$@" >/dev/null
}

# need WHY PACKAGE… installs the packages, or ends with the line to type.
need() {
    local why=$1
    shift
    if may_install; then
        say "$why: installing $*"
        apt_install "$@" || stop "$why; please install: apt-get install $*"
    elif command -v apt-get >/dev/null; then
        stop "$why; please type: sudo apt-get update && sudo apt-get install -y $*"
    else
        stop "$why; please install what Debian calls: $*"
    fi
}

# --- Python ----------------------------------------------------------------------------------------------------------

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local candidate
    # 3.11 to 3.13 first: the locks were tried there, and distributions have wheels for them.
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14}; do
        if command -v "$candidate" >/dev/null && new_enough "$candidate"; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

make_venv() {
    local python
    if ! python=$(find_python); then
        [ -z "${PYTHON:-}" ] || stop "PYTHON=$PYTHON is not a Python 3.11 or newer"
        need "no Python 3.11 or newer" python3 python3-venv python3-dev
        python=$(find_python) || stop "this system's Python is older than 3.11; please install a newer one and type: make PYTHON=/path/to/python3"
    fi
    need_system "$python" venv
    say "creating .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
}

# Debian's name for an interpreter: python3.12 when there are packages of that name, else python3.
debian_python() {
    local name
    name=python$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if command -v apt-cache >/dev/null && apt-cache show "$name-dev" >/dev/null 2>&1; then
        echo "$name"
    else
        echo python3
    fi
}

# need_system PYTHON [venv] asks once for all that is missing. The compiler is for fastecdsa: libp2p needs it, and it has no
# wheels.
need_system() {
    local python=$1 headers missing=()
    if [ "${2:-}" = venv ]; then
        "$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=("$(debian_python "$python")-venv")
    fi
    headers=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
    [ -f "$headers/Python.h" ] || missing+=("$(debian_python "$python")-dev")
    if command -v gcc >/dev/null || command -v cc >/dev/null; then
        compiles stdlib.h || missing+=(libc6-dev)
        compiles gmp.h || missing+=(libgmp-dev)
    else
        missing+=(gcc libc6-dev libgmp-dev)
    fi
    [ "${#missing[@]}" = 0 ] || need "needed to build the environment" "${missing[@]}"
}
compiles() { printf '#include <%s>\n' "$1" | "$(command -v gcc || command -v cc)" -E -x c - >/dev/null 2>&1; }

# --- stamps ----------------------------------------------------------------------------------------------------------

stamp_of() { cat -- "$@" | sha256sum | cut -d' ' -f1; }
stamped() { [ "$(cat ".venv/.stamp-$1" 2>/dev/null)" = "$2" ]; }
stamp() { printf '%s\n' "$2" >".venv/.stamp-$1"; }

install_lock() {
    local lock=$1 hash
    hash=$(stamp_of "$lock")
    stamped "$lock" "$hash" && return 0
    need_system .venv/bin/python
    say "installing $(grep -c '^[a-z0-9].*==' "$lock") distributions from $lock (a minute or two the first time)"
    .venv/bin/python -m pip install -qq --disable-pip-version-check --no-input --require-hashes -r "$lock" ||
        stop "pip could not install $lock (its reason is above); then type: make $make_target"
    # trio-typing, which libp2p brings, has types of an old trio that hide trio's own from mypy.
    rm -rf .venv/lib/python3.*/site-packages/trio-stubs
    stamp "$lock" "$hash"
}

# --- browser libraries -----------------------------------------------------------------------------------------------

plain() { say "$*: the pages work as plain forms and tables, without maps and charts"; }

install_web_assets() {
    [ -f web/package-lock.json ] || return 0
    local hash npm=npm omit=(--omit=dev) name=web-$1 log
    [ "$1" = run ] || omit=()
    hash=$(stamp_of web/package.json web/package-lock.json)
    [ -d web/node_modules ] && stamped "$name" "$hash" && return 0
    # What tests installed holds what a run needs.
    [ "$1" = run ] && [ -d web/node_modules ] && stamped web-test "$hash" && return 0
    if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
        if [ ! -x .venv/bin/npm ]; then
            say "no npm here: installing Node.js into .venv"
            if ! .venv/bin/python -m pip install -qq --disable-pip-version-check --no-input \
                --require-hashes -r requirements-web-assets.lock; then
                plain "Node.js could not be installed"
                return 0
            fi
        fi
        npm=$PWD/.venv/bin/npm
    fi
    say "installing the browser libraries into web/node_modules"
    log=$(mktemp)
    # Few and short retries: a machine without network should be told so soon.
    if (cd web && PATH="$PWD/../.venv/bin:$PATH" "$npm" ci "${omit[@]}" --ignore-scripts --no-audit --no-fund --silent \
        --fetch-retries=2 --fetch-retry-mintimeout=1000 --fetch-timeout=30000) >"$log" 2>&1; then
        stamp "$name" "$hash"
    else
        tail -n 3 "$log" >&2
        rm -f ".venv/.stamp-web-run" ".venv/.stamp-web-test"
        plain "npm could not install the browser libraries"
    fi
    rm -f "$log"
}

# --- Chromium, for the tests marked `browser` ------------------------------------------------------------------------

install_chromium() {
    command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null &&
        return 0
    if [ -n "${CI:-}" ]; then
        say "no Chromium, and CI is set: browser tests will skip"
    elif stamped chromium failed; then
        say "no Chromium: browser tests will skip"
    elif may_install; then
        say "installing chromium for the browser tests"
        if ! apt_install chromium; then
            stamp chromium failed # once is enough; rm .venv/.stamp-chromium to try again
            say "chromium could not be installed: browser tests will skip"
        fi
    else
        say "no Chromium: browser tests will skip (to run them: sudo apt-get install -y chromium)"
    fi
}

# --- do it -----------------------------------------------------------------------------------------------------------

case $mode in
run) make_target=swarm ;;
*) make_target=$mode ;;
esac

if ! { [ -x .venv/bin/python ] && new_enough .venv/bin/python; }; then
    make_venv
fi
# The larger locks hold the runtime at the same versions, so they stamp it too.
case $mode in
run)
    install_lock requirements.lock
    install_web_assets run
    ;;
test)
    install_lock requirements-test.lock
    stamp requirements.lock "$(stamp_of requirements.lock)"
    install_web_assets test
    install_chromium
    ;;
experiments)
    install_lock requirements-experiments.lock
    stamp requirements.lock "$(stamp_of requirements.lock)"
    ;;
esac
