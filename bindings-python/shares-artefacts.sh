#!/usr/bin/env bash
# Fails if the wheel for the tests would compile crates that `cargo test --workspace` has compiled with other features.
# The features that are alike are in Cargo.toml, `as-in-tests`.
set -euo pipefail
cd "$(dirname "$0")/.."

crates_and_features() {
    cargo tree --locked --prefix none --format '{p} {f}' "$@" | sed 's/ (\*)$//' | grep -v '^ssmwire-python ' | sort -u
}

again=$(comm -13 \
    <(crates_and_features --workspace --edges normal,build,dev) \
    <(crates_and_features --package ssmwire-python --features as-in-tests --edges normal,build))
if [ -n "$again" ]; then
    printf 'the feature `as-in-tests` has fallen behind: these would be compiled again\n%s\n' "$again" >&2
    exit 1
fi
