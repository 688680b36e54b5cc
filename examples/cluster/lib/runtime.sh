# containerd of a node, while the node's kubelet and pods go on.
# shellcheck shell=bash

# NAME: the pid as seen from outside the node's namespaces. The command line has the node's folder in
# it, so it can be no other's.
runtime_pid() {
  local config
  config=$(sed 's/[][\\.*^$+?(){}|]/\\&/g' <<<"$(node_folder "$1")/containerd.toml")
  pgrep -xf "containerd --config $config" || true
}

# CRI's own Status call with an empty message. The socket alone proves little: the CRI part of
# containerd is ready later than the rest.
runtime_answers() {
  printf '\0\0\0\0\0' | local_curl --max-time 2 --http2-prior-knowledge --unix-socket "$(node_socket "$1")" \
    -H 'content-type: application/grpc' -H 'te: trailers' --data-binary @- -D - -o /dev/null \
    http://localhost/runtime.v1.RuntimeService/Status 2>/dev/null | grep -qi '^grpc-status: 0'
}

# NAME: runs and is not paused.
runtime_running() {
  local pid
  pid=$(runtime_pid "$1")
  [ -n "$pid" ] && [ "$(process_state "$pid")" = up ]
}

need_runtime() { [ -n "$(runtime_pid "$1")" ] || die "containerd of $1 is not running"; } # NAME

signal_runtime() { # NAME SIGNAL
  local pid
  pid=$(runtime_pid "$1")
  [ -z "$pid" ] || kill -"$2" "$pid"
}

wait_runtime() { wait_part "node-$1" 30 runtime_answers "$1"; }

# While the hold file is there, the node's init does not start containerd again.
stop_runtime() { # NAME SIGNAL
  local pid tries
  pid=$(runtime_pid "$1")
  [ -n "$pid" ] || return 0
  kill -CONT "$pid" 2>/dev/null || true
  kill -"$2" "$pid" 2>/dev/null || true
  for tries in {1..100}; do
    [ "$(runtime_pid "$1")" != "$pid" ] && return
    ((tries != 80)) || kill -KILL "$pid" 2>/dev/null || true
    sleep 0.05
  done
  die "containerd of $1 does not end"
}

runtime_command() { # stop|start|restart|kill NAME
  local action=${1:-} name=${2:-} folder
  [[ $action =~ ^(stop|start|restart|kill)$ && $# = 2 ]] || bad_usage "node runtime stop|start|restart|kill NAME"
  need_node "$name"
  lock_state
  is_up "node-$name" || die "node $name is stopped; start it with \"cluster node start $name\""
  folder=$(node_folder "$name")
  case $action in
    stop) touch "$folder/hold-containerd"; stop_runtime "$name" TERM ;;
    start) rm -f "$folder/hold-containerd"; signal_runtime "$name" CONT; wait_runtime "$name" ;;
    restart) rm -f "$folder/hold-containerd"; stop_runtime "$name" TERM; wait_runtime "$name" ;;
    kill) rm -f "$folder/hold-containerd"; stop_runtime "$name" KILL; wait_runtime "$name" ;;
  esac
  say "containerd of $name: $action"
}

runtime_images() { # NAME
  local socket
  socket=$(node_socket "$1")
  if command -v crictl >/dev/null; then
    crictl --runtime-endpoint "unix://$socket" --image-endpoint "unix://$socket" images --no-trunc
  else
    ctr -a "$socket" -n k8s.io images ls -q
  fi
}
