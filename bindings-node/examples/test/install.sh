#!/bin/sh
# Installs the browser that the web terminal's test drives, if it is missing.
set -eu
command -v chromium >/dev/null && exit 0
command -v apt-get >/dev/null || { echo "this is not Debian; install chromium" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "only root can install packages; install chromium" >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -y -q --no-install-recommends chromium
