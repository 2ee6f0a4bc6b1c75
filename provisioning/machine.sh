#!/bin/sh
# Installs the Debian packages that a task needs and this machine lacks, and says which.
# usage: machine.sh base | demo | test
set -eu

missing=""
need() { # need COMMAND-OR-FILE PACKAGE...
    probe=$1
    shift
    case $probe in
        /*) [ -e "$probe" ] && return 0 ;;
        *) command -v "$probe" >/dev/null 2>&1 && return 0 ;;
    esac
    missing="$missing $*"
}

need_python() {
    if ! command -v python3 >/dev/null 2>&1; then
        missing="$missing python3 python3-venv"
    elif ! python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then
        missing="$missing python3-venv"
    fi
}

case ${1:-} in
    base) need_python ;;
    demo) need_python; need /usr/sbin/mosquitto mosquitto ;;
    test)
        need_python
        need /usr/sbin/mosquitto mosquitto
        need mbpoll mbpoll
        need /usr/lib/postgresql postgresql
        need /usr/sbin/sshd openssh-server
        need systemd-analyze systemd
        need chromium chromium fonts-noto-cjk
        ;;
    *) echo "usage: $0 base | demo | test" >&2; exit 2 ;;
esac
[ -n "$missing" ] || exit 0

echo "[machine] installing Debian packages:$missing"
if [ "$(id -u)" = 0 ]; then
    sudo=""
elif command -v sudo >/dev/null 2>&1; then
    sudo=sudo
else
    echo "[machine] please install them as root: apt-get install$missing" >&2
    exit 1
fi
# Packages bring services of their own; this project starts what it needs itself, on loopback.
$sudo apt-get update -qq
# shellcheck disable=SC2086
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
