#!/bin/sh
# Runs every fuzz target for SECONDS (10 by default) on its corpus, with the stable compiler: libFuzzer's coverage is
# made by an LLVM pass that needs no nightly. Fails when a target crashes; the input is then in artifacts/.
#
#   fuzz/run.sh [SECONDS] [TARGET…]
set -eu

cd "$(dirname "$0")"
seconds=${1:-10}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- frame handshake connection

# A target given by name keeps these flags away from build scripts and macros.
host=$(rustc -vV | sed -n 's/^host: //p')
export RUSTFLAGS="--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module \
-Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
cargo build --release --locked --target "$host"
binaries=${CARGO_TARGET_DIR:-target}/$host/release

found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT
mkdir -p artifacts
for name in "$@"; do
    echo "== $name: $seconds s"
    # What is found on the way goes to a directory of its own: the committed corpus stays small.
    mkdir -p "$found/$name"
    "$binaries/$name" "$found/$name" "corpus/$name" \
        -max_total_time="$seconds" -max_len=8192 -rss_limit_mb=1024 -timeout=10 \
        -artifact_prefix="artifacts/$name-" -print_final_stats=1
done
