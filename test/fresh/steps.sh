#!/usr/bin/env bash
# What a newcomer does on a machine that has Node and npm, and what befalls the machine. Runs inside it; says `ok WHAT` or
# `failed WHAT` in /opt/fresh.log, and everything else in /opt/fresh.out.
export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export npm_config_offline=true
exec >>/opt/fresh.out 2>&1
set -x

step() {
  local what=$1 said=failed
  shift
  if "$@"; then said=ok; fi
  echo "$said $what" >>/opt/fresh.log
}
within() {
  local seconds=$1 end
  shift
  end=$((SECONDS + seconds))
  until "$@"; do
    if [ "$SECONDS" -ge "$end" ]; then return 1; fi
    sleep 0.5
  done
}
cluster() { docker -H unix:///run/troupe/docker.sock "$@"; }
two_run() { cluster service ls --filter name=web --format '{{.Replicas}}' | grep -q '^2/2$'; }
containers() { docker ps --no-trunc --quiet --filter label=com.docker.swarm.service.name=web | sort; }
same_run() { two_run && [ "$(containers)" = "$(cat /opt/containers)" ]; }
answers() { timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/8080 && cat <&3' | grep -q fresh; }
nobody_listens() { ! ss -Hltn "sport = :$1" | grep -q .; }
make_image() {
  mkdir -p /tmp/image && cp /bin/busybox /tmp/image/ &&
    printf 'FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "--install", "/bin"]\n' >/tmp/image/Dockerfile &&
    DOCKER_BUILDKIT=0 docker build -q -t fresh:1 /tmp/image
}

# Inside nspawn what groups processes is not to be written to, and there is no way out.
for group in /sys/fs/cgroup/*; do mount -o remount,bind,rw "$group"; done
ip link add uplink type bridge
ip address add 192.0.2.2/24 dev uplink
ip link set uplink up
ip route add default via 192.0.2.1

if [ ! -e /opt/containers ]; then
  step "npm run demo" npm run demo
  step "npm run demo -- --down" npm run demo -- --down
  step "nats-server's own port is free" nobody_listens 4222
  step "the Engine's containers outlive it" test "$(docker info --format '{{.LiveRestoreEnabled}}')" = true
  step "service.sh" bash deploy/service.sh
  step "docker swarm init" cluster swarm init
  step "an image" make_image
  step "docker service create" cluster service create --quiet --name web --replicas 2 --publish 8080:80 fresh:1 sh -c 'while :; do echo fresh | nc -l -p 80; done'
  step "two tasks run" within 60 two_run
  step "the published port answers" within 30 answers
  containers >/opt/containers
  kill -9 "$(systemctl show --property MainPID --value troupe)"
  step "a killed node is back, with the same containers" within 60 same_run
  systemctl restart docker
  step "the Engine is back, with the same containers" within 60 same_run
  systemctl restart troupe
  step "a restarted node is back, with the same containers" within 60 same_run
  step "the published port answers still" within 30 answers
  sync
  systemctl reboot
else
  step "after a reboot two tasks run" within 120 two_run
  step "after a reboot the published port answers" within 60 answers
  step "docker swarm leave" cluster swarm leave --force
  step "no container is left" test -z "$(docker ps -q)"
  step "service.sh --remove" bash deploy/service.sh --remove
  step "the node is gone" test "$(systemctl is-active troupe)" != active
  sync
  systemctl poweroff
fi
