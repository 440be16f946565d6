#!/bin/sh
# Installs the C library: install.sh DIRECTORY-OF-THE-BUILT-LIBRARIES PREFIX. What it installs can be moved.
set -eu

if [ $# != 2 ]; then
    echo "usage: $0 LIBRARIES PREFIX" >&2
    exit 2
fi
libraries=$1
prefix=$2
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
abi=$(sed -n 's/^#define SSMWIRE_ABI_VERSION \([0-9]*\)$/\1/p' "$root/include/ssmwire.h")
cmake=$prefix/lib/cmake/ssmwire

mkdir -p "$prefix/include" "$prefix/lib/pkgconfig" "$cmake"
install -m 644 "$root/include/ssmwire.h" "$root/include/ssmwire.hpp" "$prefix/include/"
install -m 755 "$libraries/libssmwire_ffi.so" "$prefix/lib/libssmwire.so.$version"
ln -sf "libssmwire.so.$version" "$prefix/lib/libssmwire.so.$abi"
ln -sf "libssmwire.so.$abi" "$prefix/lib/libssmwire.so"
install -m 644 "$libraries/libssmwire_ffi.a" "$prefix/lib/libssmwire.a"
sed "s/@VERSION@/$version/" "$here/ssmwire.pc.in" >"$prefix/lib/pkgconfig/ssmwire.pc"
sed "s/@VERSION@/$version/" "$here/ssmwireConfigVersion.cmake.in" >"$cmake/ssmwireConfigVersion.cmake"
install -m 644 "$here/ssmwireConfig.cmake" "$cmake/"
