# Starts the programs out of their images: nothing but the image's files in the root, foreign ones under qemu.
# shellcheck shell=bash

qemu_for() { # ARCHITECTURE: prints the emulator, or nothing where the machine itself runs it
  [ "$(rust_target "$1")" != "$HOST_TARGET" ] || return 0
  local name
  case $1 in amd64) name=x86_64 ;; arm64) name=aarch64 ;; arm-v7) name=arm ;; esac
  command -v "qemu-$name-static" || die "qemu-$name-static is missing"
}

need_qemu() {
  [ "$(id -u)" = 0 ] || die "the tests need root: chroot, a network namespace, a cluster"
  command -v qemu-arm-static >/dev/null && return
  say "installing qemu-user-static"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    -o DPkg::Lock::Timeout=300 qemu-user-static; } >"$CACHE/apt.log" 2>&1 || die "apt-get failed (see $CACHE/apt.log)"
}

# ARCHITECTURE PROGRAM ARGUMENT...: runs it in its image.
in_image() {
  local root=$WORK/root/$2-$1 program=$2 qemu
  qemu=$(qemu_for "$1")
  shift 2
  if [ -n "$qemu" ]; then
    cp -u "$qemu" "$root/.qemu"
    set -- /.qemu "/$program" "$@"
  else
    set -- "/$program" "$@"
  fi
  timeout "${LIMIT:-60}" chroot "$root" "$@"
}

test_commands() { # ARCHITECTURE
  local program text
  for program in "${PROGRAMS[@]}"; do
    text=$(in_image "$1" "$program" --version)
    [ "$text" = "$program $VERSION" ] || die "$program for $1 says '$text'"
    text=$(in_image "$1" "$program" --help)
    [[ $text == *"Usage: $program"* ]] || die "$program for $1 has no help"
  done
  in_image "$1" kruise-manager crds >"$WORK/crds"
  cmp "$WORK/crds" "$ROOT/examples/manifests/crds.yaml" || die "kruise-manager crds for $1 prints something else than the published file"
  say "$1: --version, --help, crds"
}

# A network of its own with a name server and an API server that answers nothing but "no": the daemon must find it by name and
# trust its certificate, which the kubeconfig names as the service account's ca.crt would be named in a pod.
test_daemon() { # ARCHITECTURE
  local root=$WORK/root/kruise-daemon-$1 log=$WORK/daemon-$1
  echo 'nameserver 127.0.0.53' >"$root/etc/resolv.conf"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=api.images.test \
    -addext subjectAltName=DNS:api.images.test -addext basicConstraints=critical,CA:FALSE \
    -keyout "$WORK/server.key" -out "$root/ca.crt" 2>/dev/null
  cat >"$root/kubeconfig" <<'Y'
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://api.images.test:6443", certificate-authority: /ca.crt}}]
users: [{name: u, user: {}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
Y
  # shellcheck disable=SC2016
  ARCHITECTURE=$1 LOG=$log unshare --net --pid --fork --kill-child --mount-proc bash -euo pipefail -c '
    . "$HERE/lib/output.sh"; . "$HERE/lib/settings.sh"; . "$HERE/lib/test-run.sh"
    ip link set lo up
    python3 "$HERE/lib/servers.py" "$WORK/root/kruise-daemon-$ARCHITECTURE/ca.crt" "$WORK/server.key" >"$LOG.servers" 2>&1 &
    KUBECONFIG=/kubeconfig NODE_NAME=n LIMIT=60 in_image "$ARCHITECTURE" kruise-daemon --addr 127.0.0.1:10221 --v 4 >"$LOG" 2>&1 & daemon=$!
    for _ in {1..300}; do
      code=$(curl -s --noproxy "*" -o /dev/null -w "%{http_code}" http://127.0.0.1:10221/healthz || true)
      grep -q "GET /apis/apps.kruise.io/v1alpha1/nodeimages" "$LOG.servers" && [ "$code" = 200 ] && exit 0
      kill -0 $daemon 2>/dev/null || break
      sleep 0.1
    done
    echo "healthz $code"; exit 1
  ' || { tail -n 20 "$log" "$log.servers" >&2; die "the daemon for $1 does not find its API server by name"; }
  say "$1: the daemon is healthy and asks, over TLS, the API server that it found by name"
}
