# shellcheck shell=sh
# What ./run and ./test share: system packages, a Python, and .venv from hash-pinned requirements.
# Sourced from the project's root. Ends with exit 3 and one plain sentence when the machine cannot be made ready.

say() { printf '%s\n' "$*" >&2; }
fail() { say "hsm-console: $*"; exit 3; }

# The packages, by the names of each family of distributions. `a|b` means: the first one that exists.
APT_RUN="python3-venv openssl softhsm2 poppler-utils libegl1 libgl1 libx11-6 libdbus-1-3 libfontconfig1 libfreetype6
 libglib2.0-0t64|libglib2.0-0 libxkbcommon0 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1
 libxcb-shape0 libxcb-image0 libxcb-render-util0 libxcb-xinerama0 libgssapi-krb5-2"
APT_TEST="xvfb xdotool strace sqlite3 gcc libc6-dev opensc curl"
APT_OPTIONAL_TEST="pkcs11-provider opencryptoki p11-kit p11-kit-modules swtpm tpm2-abrmd tpm2-tools libtpm2-pkcs11-1
 libtss2-tcti-tabrmd0 dbus-daemon"
DNF_RUN="python3 openssl softhsm poppler-utils mesa-libEGL libglvnd-glx libglvnd-egl libX11 dbus-libs fontconfig freetype glib2
 libxkbcommon libxkbcommon-x11 xcb-util-cursor xcb-util-wm xcb-util-keysyms xcb-util-image xcb-util-renderutil krb5-libs"
DNF_TEST="xorg-x11-server-Xvfb xdotool strace sqlite gcc glibc-devel opensc curl"
DNF_OPTIONAL_TEST="pkcs11-provider opencryptoki p11-kit p11-kit-server swtpm tpm2-abrmd tpm2-tools tpm2-pkcs11 dbus-daemon"

quietly() { # a command whose chatter matters only when it fails
    chatter=$(mktemp)
    if "$@" >"$chatter" 2>&1; then rm -f "$chatter"; else cat "$chatter" >&2; rm -f "$chatter"; return 1; fi
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null 2>&1; then sudo "$@"
    else fail "these packages need root and there is no sudo. As root: $*"
    fi
}

apt_has() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }
apt_known() { apt-cache policy "$1" 2>/dev/null | grep -q 'Candidate: [^(]'; }

apt_missing() { # of a list with alternatives: what is not there, the first known name of each
    for entry in $1; do
        found=""; choice=""
        for name in $(printf '%s' "$entry" | tr '|' ' '); do
            if apt_has "$name"; then found=yes; break; fi
            if [ -z "$choice" ] && apt_known "$name"; then choice=$name; fi
        done
        [ -n "$found" ] || printf ' %s' "${choice:-${entry##*|}}"
    done
}

apt_install() { # list, optional list
    missing=$(apt_missing "$1")
    if [ -n "$missing" ] && ! apt_known libc6; then
        quietly as_root apt-get update -qq || fail "apt-get update did not work"
        missing=$(apt_missing "$1")
    elif [ -n "$missing" ] || [ -n "$2" ]; then
        for name in $missing; do
            apt_known "$name" || { quietly as_root apt-get update -qq || true; missing=$(apt_missing "$1"); break; }
        done
    fi
    for name in $2; do
        if ! apt_has "$name" && apt_known "$name"; then missing="$missing $name"; fi
    done
    [ -n "${missing# }" ] || return 0
    say "hsm-console: these system packages are missing and will be installed:$missing"
    # shellcheck disable=SC2086
    quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing && return 0
    quietly as_root apt-get update -qq || true
    # shellcheck disable=SC2086
    quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing ||
        fail "the packages could not be installed:$missing"
}

dnf_install() { # list, optional list
    missing=""
    for name in $1; do rpm -q "$name" >/dev/null 2>&1 || missing="$missing $name"; done
    for name in $2; do
        rpm -q "$name" >/dev/null 2>&1 || { dnf -q list --available "$name" >/dev/null 2>&1 && missing="$missing $name"; }
    done
    [ -n "${missing# }" ] || return 0
    say "hsm-console: these system packages are missing and will be installed:$missing"
    # shellcheck disable=SC2086
    quietly as_root dnf install -y -q --setopt=install_weak_deps=False $missing || fail "the packages could not be installed:$missing"
}

system_packages() { # run | test
    if command -v apt-get >/dev/null 2>&1; then
        case $1 in run) apt_install "$APT_RUN" "" ;; *) apt_install "$APT_RUN $APT_TEST" "$APT_OPTIONAL_TEST" ;; esac
    elif command -v dnf >/dev/null 2>&1; then
        case $1 in run) dnf_install "$DNF_RUN" "" ;; *) dnf_install "$DNF_RUN $DNF_TEST" "$DNF_OPTIONAL_TEST" ;; esac
    else
        say "hsm-console: neither apt nor dnf here; going on, the needed packages are named in packaging/prepare.sh"
    fi
}

# The distribution's own python comes first: its OpenSSL is patched by the distribution, and card log-in needs it.
choose_python() {
    for candidate in /usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then
            command -v "$candidate"; return 0
        fi
    done
    fail "Python 3.11 to 3.14 is needed and none was found"
}

environment() { # requirements file; makes or completes .venv when its stamp differs
    stamp=.venv/.made-from-$(basename "$1")
    want=$(cat "$1" pyproject.toml | sha256sum)
    [ -x .venv/bin/hsm-console ] && [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && return 0
    python=$(choose_python) || exit 3
    if ! [ -x .venv/bin/python ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        rm -rf .venv
        "$python" -m venv .venv || fail "$python cannot make a virtual environment (package python3-venv)"
    fi
    say "hsm-console: installing the pinned packages into .venv"
    quietly .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r "$1" ||
        fail "the pinned packages could not be installed"
    quietly .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-index --no-build-isolation -e . ||
        fail "the application could not be put into .venv"
    printf '%s\n' "$want" >"$stamp"
}
