#!/bin/sh
# Installs the servers and clients that the tests here run, if any is missing. Starts none of them.
set -eu

packages="openssh-server openssh-client rsync postgresql postgresql-client redis-server nginx-light"
PATH=$PATH:/usr/sbin:/sbin

missing() {
    for program in sshd ssh ssh-keygen scp sftp rsync psql redis-server redis-cli nginx; do
        command -v "$program" >/dev/null || echo "$program"
    done
    for program in initdb postgres; do
        command -v "$program" >/dev/null || ls /usr/lib/postgresql/*/bin/"$program" >/dev/null 2>&1 || echo "$program"
    done
}

refuse() {
    echo "$1; install what provides" $absent "(on Debian: apt-get install $packages)" >&2
    exit 1
}

absent=$(missing)
[ -n "$absent" ] || exit 0
command -v apt-get >/dev/null || refuse "this is not Debian"
[ "$(id -u)" = 0 ] || refuse "only root can install packages"

# Debian asks this file whether a package may start its service. One that is there has its reasons.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -y -q --no-install-recommends $packages

absent=$(missing)
[ -z "$absent" ] || refuse "apt-get did not bring everything"
