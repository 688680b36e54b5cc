# Two registries with plain http: one open, one that wants a password. And what containerd has to
# know of them.
# shellcheck shell=bash

OPEN_REGISTRY=127.0.0.1:$OPEN_PORT
AUTH_REGISTRY=127.0.0.1:$AUTH_PORT

local_curl() { curl -sS --noproxy '*' --max-time 120 "$@"; }

start_registry() { # open|auth
  local pid
  if pid=$(pid_of "registry-$1"); then
    kill -CONT "$pid"      # a test that was killed may have left it paused
    return
  fi
  local port=$OPEN_PORT config=$STATE/registry-$1.yml
  [ "$1" = open ] || port=$AUTH_PORT
  {
    echo 'version: 0.1'
    echo 'log: {level: warn, accesslog: {disabled: true}}'
    echo "storage: {filesystem: {rootdirectory: $STATE/registry-$1}, delete: {enabled: true}}"
    echo "http: {addr: \"127.0.0.1:$port\"}"
    [ "$1" = open ] || echo "auth: {htpasswd: {realm: registry, path: $STATE/htpasswd}}"
  } >"$config"
  # bcrypt (-B) is the only kind of password hash it takes
  [ "$1" = open ] || htpasswd -Bbn "$REGISTRY_USER" "$REGISTRY_PASSWORD" >"$STATE/htpasswd"
  spawn "registry-$1" docker-registry serve "$config"
  wait_part "registry-$1" 20 local_curl --max-time 2 -o /dev/null "http://127.0.0.1:$port/v2/"
}

start_registries() {
  write_registry_hosts
  start_registry open
  start_registry auth
  say "registries $OPEN_REGISTRY (open), $AUTH_REGISTRY (password)"
}

# Where containerd asks for an image. Both registries speak http; every other host name leads to the
# open one, so that names like nginx:1.9 work and nothing leaves the machine.
write_registry_hosts() {
  local name target
  for name in "$OPEN_REGISTRY" "$AUTH_REGISTRY" docker.io quay.io gcr.io k8s.gcr.io registry.k8s.io _default; do
    target=http://$OPEN_REGISTRY
    [ "$name" != "$AUTH_REGISTRY" ] || target=http://$AUTH_REGISTRY
    mkdir -p "$STATE/hosts/$name"
    printf 'server = "%s"\n[host."%s"]\n  capabilities = ["pull", "resolve"]\n' "$target" "$target" >"$STATE/hosts/$name/hosts.toml"
  done
}

registry_command() { # stop|start|pause|resume open|auth
  [[ ${1:-} =~ ^(stop|start|pause|resume)$ && ${2:-} =~ ^(open|auth)$ && $# = 2 ]] || bad_usage "registry stop|start|pause|resume open|auth"
  need_state
  lock_state
  local part=registry-$2 pid
  case $1 in
    stop) stop_process "$part" ;;
    start) start_registry "$2" ;;
    pause) pid=$(pid_of "$part") || die "$part is not running"; kill -STOP "$pid" ;;
    resume) pid=$(pid_of "$part") || die "$part is not running"; kill -CONT "$pid" ;;
  esac
  say "$part: $1"
}
