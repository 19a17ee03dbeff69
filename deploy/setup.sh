#!/usr/bin/env bash
# Installs what Troupe needs beside Node and npm, and starts a Docker Engine where none answers.
#
# Idempotent; with --tests also what only tests need. Needs root on Debian or Ubuntu to install; elsewhere it says exactly what is missing and ends
# with 1. TROUPE_SETUP_NO_ENGINE=1 leaves the Engine alone (for --executor process).
set -euo pipefail

say() { printf 'setup: %s\n' "$*"; }

# command → Debian package
needs=(
  "nats-server nats-server"
  "dockerd docker.io"
  "docker docker.io"
  "nft nftables"
  "iptables iptables"
  "conntrack conntrack"
  "ip iproute2"
  "busybox busybox-static"
  "haproxy haproxy"
)
# The browser in which the dashboard is tried, what encrypted networks are carried by and listened to with, an ACME server, and what makes a disk fail.
[ "${1:-}" = --tests ] && needs+=("chromium chromium" "wg wireguard-tools" "wireguard-go wireguard-go" "tcpdump tcpdump" "pebble pebble" "strace strace")
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# Containers outlive a restart of an Engine that is started here, unless somebody has said how it is to be.
keep_containers() {
  if [ -e /etc/docker/daemon.json ]; then return; fi
  mkdir -p /etc/docker
  printf '{ "live-restore": true }\n' >/etc/docker/daemon.json
}

missing=()
for need in "${needs[@]}"; do
  read -r command package <<<"$need"
  if [ "${TROUPE_SETUP_NO_ENGINE:-}" = 1 ] && [ "$package" = docker.io ]; then continue; fi
  if ! command -v "$command" >/dev/null 2>&1; then
    case " ${missing[*]-} " in *" $package "*) ;; *) missing+=("$package") ;; esac
  fi
done

if [ "${#missing[@]}" -gt 0 ]; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    say "missing: ${missing[*]}"
    say "on Debian or Ubuntu, as root: apt-get install -y --no-install-recommends ${missing[*]}"
    say "elsewhere install nats-server (2.9 or newer), a Docker Engine (20.10 or newer), nftables, iptables,"
    say "conntrack, iproute2, haproxy (for the HTTP entrance), a static busybox (for demo and tests) and chromium, wireguard-tools, wireguard-go,"
    say "tcpdump, pebble and strace (for tests), then run this again"
    exit 1
  fi
  say "installing ${missing[*]}"
  is_new() { case " ${missing[*]-} " in *" $1 "*) ;; *) return 1 ;; esac; }
  # The package starts its Engine at once.
  if is_new docker.io; then keep_containers; fi
  log=$(mktemp)
  install_missing() {
    DEBIAN_FRONTEND=noninteractive apt-get update -q >"$log" 2>&1 &&
      DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >>"$log" 2>&1
  }
  # A mirror that answers badly once usually answers well a moment later.
  if ! install_missing && ! { sleep 5; install_missing; }; then
    tail -n 20 "$log"
    say "installation failed; the lines above say why"
    exit 1
  fi
  rm -f "$log"
  # Debian starts these at the ports that nodes want. A node runs its own; what was here before us is left alone.
  if [ -d /run/systemd/system ]; then
    for service in nats-server haproxy; do
      if is_new "$service"; then systemctl disable --quiet --now "$service"; fi
    done
  fi
fi

engine_answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

if [ "${TROUPE_SETUP_NO_ENGINE:-}" != 1 ] && ! engine_answers; then
  if [ -n "${DOCKER_HOST:-}" ]; then
    say "no Docker Engine answers at DOCKER_HOST=$DOCKER_HOST; without DOCKER_HOST it is the one of this machine"
    exit 1
  fi
  if [ "$(id -u)" != 0 ]; then
    say "no Docker Engine answers; start it as root: systemctl start docker"
    exit 1
  fi
  keep_containers
  if [ -d /run/systemd/system ]; then
    say "starting the Docker Engine (systemd)"
    systemctl start docker
  else
    say "starting the Docker Engine (dockerd, its log in /var/log/dockerd.log)"
    setsid nohup dockerd </dev/null >>/var/log/dockerd.log 2>&1 &
  fi
  for _ in $(seq 1 120); do
    if engine_answers; then break; fi
    sleep 0.25
  done
  if ! engine_answers; then
    say "the Docker Engine does not answer after 30 s; the end of its log:"
    tail -n 15 /var/log/dockerd.log 2>/dev/null || true
    exit 1
  fi
fi

say "ready: nats-server $(nats-server --version 2>/dev/null | sed 's/.*v//')$(
  [ "${TROUPE_SETUP_NO_ENGINE:-}" = 1 ] || printf ', Docker Engine %s' "$(docker version --format '{{.Server.Version}}')"
)"
