# Nodes: a kubelet and a containerd each, real Node objects. The name of a node is its address.
# shellcheck shell=bash

node_names() { [ ! -d "$STATE/nodes" ] || ls "$STATE/nodes" | sort -V; }

check_node_name() {
  local number=${1##*.}
  [[ $1 == "$NODE_PREFIX".* && $number =~ ^[1-9][0-9]*$ ]] && ((number <= MAX_NODES)) ||
    bad_usage "node names of this cluster are $NODE_PREFIX.1 to $NODE_PREFIX.$MAX_NODES, not '$1'"
}

need_node() {
  check_node_name "${1:-}"
  need_state
  [ -d "$(node_folder "$1")" ] || die "there is no node $1; nodes: $(node_names | paste -sd' ')"
}

start_node() { # NAME    does not wait
  local name=$1 folder socket
  folder=$(node_folder "$name") socket=$(node_socket "$name")
  rm -f "$folder/hold-containerd"
  if is_up "node-$name"; then signal_runtime "$name" CONT; return; fi
  need_node_certificate "$name"
  write_node_config "$name"
  spawn "node-$name" unshare --mount --pid --fork --kill-child bash "$HERE/lib/node-init.sh" "$folder" "$STATE/log/node-$name" \
    "$BIN/kubelet" --config="$folder/kubelet.yaml" --kubeconfig="$PKI/node-$name.kubeconfig" --hostname-override="$name" \
    --container-runtime=remote --container-runtime-endpoint="unix://$socket" --root-dir=/var/lib/kubelet \
    --cert-dir="$folder/kubelet-pki" --pod-infra-container-image="$OPEN_REGISTRY/pause:1" --v=2
}

# What the Node object says is old news for 40 s after a node's death, so kubelet is asked as well.
node_ready() { # NAME
  healthy "$1:$KUBELET_PORT/healthz" &&
    [ "$(kubectl get node "$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]
}

wait_node() {
  wait_part "node-$1" 90 node_ready "$1"
  say "node $1 Ready"
}

# COUNT: the first COUNT nodes and all that were added before.
start_nodes() {
  local i
  for ((i = 1; i <= $1; i++)); do mkdir -p "$(node_folder "$NODE_PREFIX.$i")"; done
  for i in $(node_names); do start_node "$i"; done
}

wait_nodes() { local name; for name in $(node_names); do wait_node "$name"; done; }

# COUNT: true if nothing is left to do for `up`.
everything_up() {
  control_plane_up || return 1
  local name ready i
  for ((i = 1; i <= $1; i++)); do [ -d "$(node_folder "$NODE_PREFIX.$i")" ] || return 1; done
  ready=$(kubectl get nodes -o 'jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}')
  for name in $(node_names); do
    is_up "node-$name" && runtime_running "$name" && grep -qx "$name=True" <<<"$ready" || return 1
  done
}

# The kill takes the node's namespaces with it: pods, shims, mounts. Bridge and cgroups belong to the
# machine and are removed by hand.
stop_node() { # NAME
  stop_process "node-$1" KILL
  local tries
  for tries in {1..60}; do [ -z "$(runtime_pid "$1")" ] && break; sleep 0.05; done
  ip link del "$(bridge_name "$1")" 2>/dev/null || true
  remove_cgroups "$1"
}

# containerd puts every container of every cluster under one cgroup, k8s.io (that name is fixed in it);
# which ones are this node's is known from the folders of its containers.
remove_cgroups() { # NAME
  local id cgroup tries
  for id in "$(node_folder "$1")"/containerd/io.containerd.grpc.v1.cri/{sandboxes,containers}/*; do
    for cgroup in /sys/fs/cgroup/*/k8s.io/"${id##*/}" /sys/fs/cgroup/k8s.io/"${id##*/}"; do
      for tries in {1..20}; do    # the kernel needs a moment to collect the dead
        [ -d "$cgroup" ] || break
        find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.05
      done
    done
  done
  rmdir /sys/fs/cgroup/*/k8s.io /sys/fs/cgroup/k8s.io 2>/dev/null || true     # the last one shuts the door
}

stop_nodes() {
  local name
  for name in $(node_names); do stop_node "$name"; done
}

add_node() { # [NAME]
  local name=${1:-} i
  if [ -z "$name" ]; then
    for ((i = 1; i <= MAX_NODES; i++)); do [ -d "$(node_folder "$NODE_PREFIX.$i")" ] || break; done
    name=$NODE_PREFIX.$i
  fi
  check_node_name "$name"
  [ ! -d "$(node_folder "$name")" ] || die "node $name exists already"
  mkdir -p "$(node_folder "$name")"
  start_node "$name"
  wait_node "$name"
  echo "$name"
}

remove_node() { # NAME
  stop_node "$1"
  kubectl delete node "$1" --ignore-not-found >/dev/null
  rm -rf "$(node_folder "$1")" "$STATE/log/node-$1.log" "$STATE/log/node-$1-"*.log "$PKI/node-$1".*
  say "node $1 removed"
}

node_command() {
  local action=${1:-}
  [ $# -gt 0 ] && shift
  case $action in
    add) need_state; need_root; lock_state; add_node "${1:-}" ;;
    remove | stop | start)
      need_node "${1:-}"
      lock_state
      case $action in
        remove) remove_node "$1" ;;
        stop) stop_node "$1"; say "node $1 stopped" ;;
        start) start_node "$1"; wait_node "$1" ;;
      esac ;;
    socket) need_node "${1:-}"; node_socket "$1" ;;
    images) need_node "${1:-}"; runtime_images "$1" ;;
    pause) need_node "${1:-}"; need_runtime "$1"; signal_runtime "$1" STOP; say "containerd of $1 paused" ;;
    resume) need_node "${1:-}"; need_runtime "$1"; signal_runtime "$1" CONT; say "containerd of $1 resumed" ;;
    runtime) runtime_command "$@" ;;
    *) bad_usage "node add|remove|stop|start|socket|images|runtime|pause|resume" ;;
  esac
}
