#!/bin/sh
# Runs a program for which AWS's names lead to this machine, without a change to anybody else: aws-ssm-bridge connects to
# no other names. Needs root, or user namespaces.
set -eu
hosts=$(mktemp)
trap 'rm -f "$hosts"' EXIT
printf '127.0.0.1 localhost ssmmessages.eu-west-1.amazonaws.com\n' >"$hosts"
unshare --map-root-user --mount sh -c 'mount --bind "$1" /etc/hosts && shift && exec "$@"' sh "$hosts" "$@"
