#!/usr/bin/env bash
# Makes sure that the named servers and tools are on this machine, from Debian's packages where they are missing:
#
#     deploy/servers.sh rabbitmq-server nginx h2load chromium
#
# Nothing is started: tests and benchmarks run each on loopback from a directory of its own. Needs root or sudo only when
# something is missing. Without apt-get a missing RabbitMQ, PostgreSQL or MariaDB is left to Docker, if an engine answers.
set -euo pipefail
PATH="$PATH:/usr/sbin:/sbin" # where Debian keeps servers; not on everybody's path

is_there() { # PostgreSQL is on no path: Debian gives each version a folder
    command -v "$1" >/dev/null || { [[ $1 == postgres ]] && compgen -G "/usr/lib/postgresql/*/bin/postgres" >/dev/null; }
}

package_of() {
    case "$1" in
        rabbitmq-server | nginx | chromium | pgbouncer) echo "$1" ;;
        h2load) echo nghttp2-client ;;
        node) echo nodejs ;;
        npm) echo npm ;;
        promtool) echo prometheus ;;
        javac) echo default-jdk-headless ;;
        postgres) echo postgresql ;;
        mariadbd) echo mariadb-server ;;
        java) echo default-jre-headless ;;
        mvn) echo maven ;;
        systemd-analyze) echo systemd ;;
        ip) echo iproute2 ;;
        strace) echo strace ;;
        *) echo "servers.sh: no package is known for '$1'" >&2 && return 2 ;;
    esac
}

missing=()
packages=()
for command in "$@"; do
    package="$(package_of "$command")"
    is_there "$command" && continue
    missing+=("$command")
    packages+=("$package")
done
((${#missing[@]})) || exit 0

as_root=()
((EUID == 0)) || as_root=(sudo -n)
if command -v apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null; then
    echo "Installing ${packages[*]}"
    # A package's own service would listen on every interface: deny its start, unless this machine has a policy already.
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
        trap '"${as_root[@]}" rm -f $policy' EXIT
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null
        "${as_root[@]}" chmod 755 $policy
    fi
    apt() {
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"
    }
    # A fresh machine may be busy with updates of its own, and its network may fail for a moment.
    for pause in 5 15 45 0; do
        apt update || echo "servers.sh: the package lists are as old as they are" >&2
        apt install --yes --no-install-recommends "${packages[@]}" && break
        sleep "$pause"
    done
    for command in "${missing[@]}"; do
        is_there "$command" || {
            echo "servers.sh: apt-get brought no '$command'; what it said is above" >&2
            exit 1
        }
    done
elif [[ ! " ${missing[*]} " =~ " "(nginx|chromium|h2load|promtool)" " ]] && timeout 20 docker version >/dev/null 2>&1; then
    echo "Not installed: ${missing[*]}; the tests run it in Docker"
else
    echo "Missing: ${missing[*]}. Install them (Debian: apt-get install ${packages[*]}), or run as root or with sudo" >&2
    echo "so that this script can; for RabbitMQ, PostgreSQL and MariaDB a running Docker engine does as well." >&2
    exit 1
fi
