#!/usr/bin/env bash
# Has systemd run the node of this machine: it starts with the machine, and again whenever it ends.
#
#   bash deploy/service.sh            after deploy/setup.sh, as root; again after an update of this folder
#   bash deploy/service.sh --remove   tasks go on; leave the cluster first where they are not to
#
# The node has no role: `docker swarm init` or `docker swarm join` on its socket says what becomes of it, and it keeps to that.
# Its flags stand in /etc/default/troupe, as TROUPE_<NAME>.
set -euo pipefail

say() { printf 'service: %s\n' "$*"; }
fail() {
  say "$*"
  exit 1
}

root=$(cd "$(dirname "$0")/.." && pwd)
unit=/etc/systemd/system/troupe.service
flags=/etc/default/troupe

[ "$(id -u)" = 0 ] || fail "needs root"
[ -d /run/systemd/system ] || fail "systemd does not run this machine; have whatever does start: cd $root && bun run node"

case "${1:-}" in
"") ;;
--remove)
  systemctl disable --quiet --now troupe 2>/dev/null || true
  rm -f "$unit"
  systemctl daemon-reload
  say "removed; $flags and the node's data are left"
  exit 0
  ;;
*) fail "$1: expected nothing, or --remove" ;;
esac

case "$root" in *[!A-Za-z0-9/._-]*) fail "$root: expected a folder of letters, digits, '.', '_' and '-' only" ;; esac
sh "$root/deploy/install.sh"
if [ ! -e "$flags" ]; then
  printf '%s\n' '# Flags of the node, see README.md: TROUPE_<NAME>=value. After a change: systemctl restart troupe' \
    '#TROUPE_HTTP_ENTRANCE=80' >"$flags"
fi
sed "s#/opt/troupe#$root#g" "$root/deploy/systemd/troupe.service" >"$unit"
systemctl daemon-reload
systemctl enable --quiet troupe
systemctl restart troupe

# shellcheck source=/dev/null
socket=$(. "$flags" && printf %s "${TROUPE_SOCKET:-/run/troupe/docker.sock}")
for _ in $(seq 1 120); do
  if docker -H "unix://$socket" version >/dev/null 2>&1; then
    say "runs; next: export DOCKER_HOST=unix://$socket, then docker swarm init or docker swarm join"
    exit 0
  fi
  sleep 0.25
done
journalctl --unit troupe --lines 15 --no-pager --output cat || true
fail "the node does not answer at $socket after 30 s; the lines above say why, journalctl -u troupe more"
