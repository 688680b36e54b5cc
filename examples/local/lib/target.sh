# Which cluster to work on: the one of examples/cluster, or the user's own when KUBECONFIG is set.
# shellcheck shell=bash
#
# After `target_load` these are exported: KUBECONFIG, CLUSTER_NODES, CLUSTER_STATE, CLUSTER_REGISTRY and, on our own
# cluster, CLUSTER_REGISTRY_AUTH, CLUSTER_REGISTRY_USER, CLUSTER_REGISTRY_PASSWORD; TARGET says `own` or `given`.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)   # examples/
cluster() { "${CLUSTER_BIN:-$here/cluster/cluster}" "$@"; }

# A KUBECONFIG that points into our own cluster's state folder is our own cluster (nested scripts inherit it).
target_is_given() { [ -n "${KUBECONFIG:-}" ] && [ "${KUBECONFIG#"${CLUSTER_STATE:-/nonexistent}"/}" = "$KUBECONFIG" ]; }

target_up() { # [NODES]
  if target_is_given; then target_load; else cluster up --nodes "${1:-2}"; target_load; fi
}

target_load() {
  if ! target_is_given; then
    TARGET=own
    local vars; vars=$(cluster env) || { echo "the cluster is not up: run $here/cluster/cluster up" >&2; return 1; }
    eval "$vars"
  else
    TARGET=given
    command -v kubectl >/dev/null || { echo "KUBECONFIG is set, so kubectl is needed on PATH" >&2; return 1; }
    export CLUSTER_STATE=${CLUSTER_STATE:-${TMPDIR:-/tmp}/kruise-local}
    mkdir -p "$CLUSTER_STATE"
    : "${CLUSTER_SOCKETS:?KUBECONFIG names your own cluster: also set CLUSTER_SOCKETS=\"NODE=/path/to/runtime.sock ...\" for the nodes whose runtime this machine reaches}"
    : "${CLUSTER_REGISTRY:?KUBECONFIG names your own cluster: also set CLUSTER_REGISTRY=HOST[:PORT] of a registry its nodes can pull from}"
    CLUSTER_NODES=; local pair
    for pair in $CLUSTER_SOCKETS; do CLUSTER_NODES+="${CLUSTER_NODES:+ }${pair%%=*}"; done
    export CLUSTER_NODES
  fi
  export TARGET
}

# Makes a test image and pushes it where the nodes find it.
target_push() { # NAME:TAG [OPTIONS of `cluster push`]
  if [ "$TARGET" = own ]; then cluster push "$@"; else cluster push "$@" --registry "$CLUSTER_REGISTRY"; fi
}

# The images that a node's runtime has.
target_images() { # NODE
  if [ "$TARGET" = own ]; then cluster node images "$1"; return; fi
  command -v crictl >/dev/null || { echo "(install crictl to see what $1 has)" >&2; return 0; }
  crictl --runtime-endpoint "unix://$(target_socket "$1")" --image-endpoint "unix://$(target_socket "$1")" images
}

# The runtime's socket of one node.
target_socket() { # NODE
  if [ "$TARGET" = own ]; then cluster node socket "$1"; return; fi
  local pair
  for pair in $CLUSTER_SOCKETS; do [ "${pair%%=*}" != "$1" ] || { echo "${pair#*=}"; return; }; done
  echo "no socket for node $1 in CLUSTER_SOCKETS" >&2; return 1
}

# A token of a service account, by `kubectl create token` or, with a kubectl that lacks it, by the request it makes.
target_token() { # NAMESPACE/SERVICEACCOUNT
  kubectl create token -n "${1%/*}" "${1#*/}" --duration=24h 2>/dev/null && return
  kubectl create --raw "/api/v1/namespaces/${1%/*}/serviceaccounts/${1#*/}/token" -f - \
    <<<'{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"audiences":["https://kubernetes.default.svc"],"expirationSeconds":86400}}' \
    | sed -n 's/.*"token":"\([^"]*\)".*/\1/p'
}

# A kubeconfig with the rights of one service account of ours: the cluster as in KUBECONFIG, a token for the user.
target_kubeconfig() { # NAMESPACE/SERVICEACCOUNT
  if [ "$TARGET" = own ]; then cluster kubeconfig "$1"; return; fi
  local file=$CLUSTER_STATE/kubeconfig-${1//\//-} token where
  token=$(target_token "$1")
  [ -n "$token" ] || { echo "no token for the service account $1" >&2; return 1; }
  where=$(kubectl config view --minify --flatten -o jsonpath='{.clusters[0].cluster}')    # JSON, as far as kubectl is not very old
  ( umask 077; cat >"$file" ) <<J
{"apiVersion": "v1", "kind": "Config", "current-context": "kruise",
 "clusters": [{"name": "kruise", "cluster": $where}],
 "users": [{"name": "kruise", "user": {"token": "$token"}}],
 "contexts": [{"name": "kruise", "context": {"cluster": "kruise", "user": "kruise"}}]}
J
  echo "$file"
}
