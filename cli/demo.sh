#!/usr/bin/env bash
# Shows the command at work: a command and a shell on the emulator that is built into it.
set -euo pipefail
ssmwire=${1:?usage: demo.sh PATH_OF_SSMWIRE}

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
seconds() { awk -v from="$1" -v to="$(date +%s%N)" 'BEGIN { printf "%.0f ms", (to - from) / 1e6 }'; }

say "1. A command: standard output, standard error and exit code apart"
echo "\$ ssmwire --local run local --shell 'echo to stdout; echo to stderr >&2; exit 7'"
out=$(mktemp) err=$(mktemp)
trap 'rm -f "$out" "$err"' EXIT
from=$(date +%s%N)
code=0
"$ssmwire" --local run local --shell 'echo to stdout; echo to stderr >&2; exit 7' >"$out" 2>"$err" || code=$?
printf 'stdout: %s\nstderr: %s\nexit code: %s\n' "$(cat "$out")" "$(cat "$err")" "$code"
echo "took $(seconds "$from"), of which the emulator's start is a part"
[ "$(cat "$out")" = "to stdout" ] && [ "$(cat "$err")" = "to stderr" ] && [ "$code" = 7 ]

say "2. A shell, with its dialogue piped in"
echo "\$ printf 'echo \"\$((6 * 7)) is the answer\"\\nexit\\n' | ssmwire --local start-session --target local"
from=$(date +%s%N)
printf 'echo "$((6 * 7)) is the answer"\nexit\n' | "$ssmwire" --local start-session --target local >"$out"
cat "$out"
echo "took $(seconds "$from")"
grep -q "42 is the answer" "$out"

say "3. Twenty megabytes, byte for byte"
from=$(date +%s%N)
sum=$("$ssmwire" --local run local --shell 'head -c 20000000 /dev/zero | tr "\0" x' | sha256sum)
expected=$(head -c 20000000 /dev/zero | tr "\0" x | sha256sum)
echo "sha256 there and here: ${sum%% *}"
echo "took $(seconds "$from")"
[ "$sum" = "$expected" ]

say "Now you"
cat <<TEXT
A shell of your own, on this machine, through the whole protocol:
    $ssmwire --local start-session --target local
On AWS, with the credentials and the region that the AWS CLI would use:
    $ssmwire start-session --target i-0123456789abcdef0
    $ssmwire run i-0123456789abcdef0 -- uname -a
TEXT
