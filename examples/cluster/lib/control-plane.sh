# etcd, kube-apiserver, kube-controller-manager, kube-scheduler.
# shellcheck shell=bash

kubectl() { "$BIN/kubectl" --kubeconfig="$PKI/admin.kubeconfig" "$@"; }

# ADDRESS:PORT/PATH: true if that health endpoint says ok to the administrator.
healthy() {
  [ "$(local_curl --max-time 2 --cacert "$PKI/ca.crt" --cert "$PKI/kubelet-client.crt" --key "$PKI/kubelet-client.key" "https://$1")" = ok ]
}

start_etcd() {
  is_up etcd && return
  local client=http://127.0.0.1:$ETCD_PORT peer=http://127.0.0.1:$ETCD_PEER_PORT
  # Nobody needs this data after a power failure, so it does not wait for the disk.
  spawn etcd etcd --name kruise --data-dir "$STATE/etcd" --listen-client-urls "$client" --advertise-client-urls "$client" \
    --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "kruise=$peer" \
    --logger zap --log-level warn --unsafe-no-fsync
}

# What programs with a service account ask for, one line of JSON each, so that tests can hold roles against it.
write_audit_policy() {
  cat >"$STATE/audit-policy.yaml" <<Y
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, userGroups: ["system:serviceaccounts:kube-system"]}
- {level: Metadata, userGroups: ["system:serviceaccounts"]}
- {level: None}
Y
}

start_apiserver() {
  is_up apiserver && return
  write_audit_policy
  # endpoint-reconciler none: a loopback address is not allowed in an Endpoints object.
  # aggregator-routing: webhooks of Services are called at the pods' addresses, since nothing answers at the Service's.
  # The request header and proxy client flags are what aggregated APIs need.
  spawn apiserver "$BIN/kube-apiserver" --etcd-servers="http://127.0.0.1:$ETCD_PORT" \
    --bind-address=127.0.0.1 --secure-port="$API_PORT" --insecure-port=0 --advertise-address=127.0.0.1 \
    --endpoint-reconciler-type=none --service-cluster-ip-range="$SERVICE_PREFIX.0/24" --enable-aggregator-routing=true --allow-privileged=true \
    --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" --client-ca-file="$PKI/ca.crt" \
    --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$PKI/service-account.pub" \
    --service-account-signing-key-file="$PKI/service-account.key" \
    --audit-policy-file="$STATE/audit-policy.yaml" --audit-log-path="$AUDIT" --audit-log-maxsize=100 --audit-log-maxbackup=3 \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
    --kubelet-certificate-authority="$PKI/ca.crt" --kubelet-client-certificate="$PKI/kubelet-client.crt" \
    --kubelet-client-key="$PKI/kubelet-client.key" --kubelet-preferred-address-types=InternalIP \
    --requestheader-client-ca-file="$PKI/front-proxy-ca.crt" --requestheader-allowed-names=front-proxy-client \
    --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
    --requestheader-extra-headers-prefix=X-Remote-Extra- \
    --proxy-client-cert-file="$PKI/front-proxy.crt" --proxy-client-key-file="$PKI/front-proxy.key"
}

# The Service "kubernetes" as pods see it: its address is one of the machine, and its port leads to the apiserver. Nobody but
# pods is answered. The log file is on the command line, where every process of ours has the state folder.
start_api_service() {
  is_up api-service && return
  ip addr replace "$API_SERVICE/32" dev lo
  spawn api-service socat -lf "$STATE/log/api-service.log" \
    "TCP4-LISTEN:443,bind=$API_SERVICE,range=$POD_PREFIX.0.0/16,reuseaddr,fork,backlog=128" "TCP4:127.0.0.1:$API_PORT"
}

stop_api_service() {
  # Its children carry a connection each and would outlive it.
  local pid
  if pid=$(pid_of api-service); then pkill -P "$pid" -TERM || true; fi
  stop_process api-service
  ip addr del "$API_SERVICE/32" dev lo 2>/dev/null || true
}

# NAME PORT FLAGS...: flags that both have. --port=0 shuts an http port that listens on every address.
start_client() {
  local name=$1 port=$2 config=$PKI/$1.kubeconfig
  shift 2
  is_up "$name" && return
  spawn "$name" "$BIN/kube-$name" --kubeconfig="$config" --authentication-kubeconfig="$config" \
    --authorization-kubeconfig="$config" --bind-address=127.0.0.1 --port=0 --secure-port="$port" \
    --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" --leader-elect=false \
    --kube-api-qps=300 --kube-api-burst=600 "$@"      # the default of 20 per second costs four seconds at start
}

start_control_plane() {
  start_etcd
  start_apiserver      # asks etcd until it answers
  wait_part etcd 30 local_curl --max-time 2 -f -o /dev/null "http://127.0.0.1:$ETCD_PORT/health"
  wait_part apiserver 90 healthy "127.0.0.1:$API_PORT/readyz"
  say "apiserver ready on 127.0.0.1:$API_PORT"
  start_api_service
  start_client controller-manager "$MANAGER_PORT" --use-service-account-credentials=true \
    --service-account-private-key-file="$PKI/service-account.key" --root-ca-file="$PKI/ca.crt" \
    --cluster-signing-cert-file="$PKI/ca.crt" --cluster-signing-key-file="$PKI/ca.key"
  start_client scheduler "$SCHEDULER_PORT"
}

wait_controllers() {
  wait_part controller-manager 60 kubectl get serviceaccount default   # the work of one of its controllers
  wait_part scheduler 60 healthy "127.0.0.1:$SCHEDULER_PORT/healthz"
  say "controller-manager and scheduler at work"
}

control_plane_up() {
  local part
  for part in etcd apiserver api-service controller-manager scheduler registry-open registry-auth; do is_running "$part" || return 1; done
  healthy "127.0.0.1:$API_PORT/readyz"
}
