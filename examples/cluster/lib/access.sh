# What others need to use the cluster: kubeconfigs, environment, status.
# shellcheck shell=bash

need_state() {
  [ -d "$STATE/pid" ] || die "there is no cluster in $STATE; start it with \"cluster up\""
  check_port_base
}

show_kubeconfig() { # [NAMESPACE/SERVICEACCOUNT]
  need_state
  [ -d "$PKI" ] || die "the cluster in $STATE is not up yet"
  [ $# -gt 0 ] || { echo "$PKI/admin.kubeconfig"; return; }
  [[ $1 =~ ^[a-z0-9.-]+/[a-z0-9.-]+$ ]] || bad_usage "kubeconfig NAMESPACE/SERVICEACCOUNT"
  local namespace=${1%/*} account=${1#*/} request response token target
  # ten years: longer than any cluster of this kind lives
  request='{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"expirationSeconds":315360000}}'
  response=$(kubectl create --raw "/api/v1/namespaces/$namespace/serviceaccounts/$account/token" -f - <<<"$request") ||
    die "no token for service account $1"
  token=$(sed -n 's/.*"token": *"\([^"]*\)".*/\1/p' <<<"$response")
  [ -n "$token" ] || die "no token in the answer for service account $1"
  target=$STATE/kubeconfig/${namespace}_$account
  mkdir -p "$STATE/kubeconfig"
  write_kubeconfig "$target" "token: $token" "$PKI/ca.crt"
  echo "$target"
}

show_env() {
  need_state
  printf 'export %s=%q\n' \
    KUBECONFIG "$PKI/admin.kubeconfig" \
    CLUSTER_REGISTRY "$OPEN_REGISTRY" \
    CLUSTER_REGISTRY_AUTH "$AUTH_REGISTRY" \
    CLUSTER_REGISTRY_USER "$REGISTRY_USER" \
    CLUSTER_REGISTRY_PASSWORD "$REGISTRY_PASSWORD" \
    CLUSTER_NODES "$(node_names | paste -sd' ')" \
    CLUSTER_STATE "$STATE" \
    CLUSTER_AUDIT "$AUDIT" \
    CLUSTER_PORT_BASE "$BASE"
  # shellcheck disable=SC2016    # for the reader's shell to expand
  printf 'export PATH=%q:"$PATH"\n' "$BIN"
}

# LABEL PID: one line; fails if there is no pid.
status_line() {
  local state=down
  [ -z "$2" ] || state=$(process_state "$2")
  printf '%-22s %-9s %s\n' "$1" "${2:--}" "$state"
  [ -n "$2" ]
}

show_status() {
  [ -d "$STATE/pid" ] || { echo "no cluster in $STATE"; return 1; }
  check_port_base
  local part name result=0
  printf '%-22s %-9s %s\n' PART PID STATE
  for part in etcd apiserver api-service controller-manager scheduler registry-open registry-auth; do
    status_line "$part" "$(pid_of "$part" || true)" || result=1
  done
  for name in $(node_names); do
    status_line "node-$name" "$(pid_of "node-$name" || true)" || result=1
    status_line "  containerd" "$(runtime_pid "$name")" || result=1
  done
  echo
  ! is_up apiserver || kubectl --request-timeout=5s get nodes || result=1
  return $result
}
