#!/bin/sh
# Installs what `make c-test` needs beside a C compiler, if anything is missing.
set -eu

programs="valgrind cmake pkg-config clang-format clang"

missing() {
    for program in $programs; do
        command -v "$program" >/dev/null || echo "$program"
    done
}

absent=$(missing)
[ -n "$absent" ] || exit 0
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
    echo "install" $absent "(only root can, and only Debian is known here)" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -y -q --no-install-recommends valgrind cmake pkg-config clang-format clang
[ -z "$(missing)" ]
