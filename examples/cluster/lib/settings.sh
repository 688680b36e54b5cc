# Everything that depends on the environment: folders, ports, addresses.
# shellcheck shell=bash disable=SC2034

KUBERNETES_VERSION=v1.20.2
MAX_NODES=250
REGISTRY_USER=puller
REGISTRY_PASSWORD=s3cret

BASE=${CLUSTER_PORT_BASE:-16000}
if ! [[ $BASE =~ ^[0-9]{4,5}$ ]] || ((BASE < 2000 || BASE > 64000)); then
  echo "cluster: CLUSTER_PORT_BASE must be a number from 2000 to 64000, not '$BASE'" >&2
  exit 2
fi
STATE=${CLUSTER_STATE:-${TMPDIR:-/tmp}/kruise-cluster-$BASE}
CACHE=${CLUSTER_CACHE:-${XDG_CACHE_HOME:-${HOME:-~}/.cache}/kruise-cluster}
STATE=$(realpath -m "$STATE")
CACHE=$(realpath -m "$CACHE")
BIN=$CACHE/bin
PKI=$STATE/pki
AUDIT=$STATE/log/audit.json

# All ports lie in BASE..BASE+999, so that clusters with bases 1000 apart cannot meet. The one exception is port 443 on the
# cluster's own address of the Service "kubernetes" (API_SERVICE below).
KUBELET_PORT=$((BASE + 250))     # on each node's own address
STREAMING_PORT=$((BASE + 251))   # exec, attach, port-forward; on each node's own address
MANAGER_PORT=$((BASE + 257))
SCHEDULER_PORT=$((BASE + 259))
ETCD_PORT=$((BASE + 379))
ETCD_PEER_PORT=$((BASE + 380))
API_PORT=$((BASE + 443))
OPEN_PORT=$((BASE + 500))
AUTH_PORT=$((BASE + 501))

# One number per thousand of the port base keeps addresses, bridges and pod ranges of clusters
# apart. The default cluster has the plain node names 127.0.0.1, 127.0.0.2, ...
SLOT=$((BASE / 1000))
if ((BASE == 16000)); then NODE_PREFIX=127.0.0; else NODE_PREFIX=127.0.$SLOT; fi
POD_PREFIX=10.$((180 + SLOT))    # 10.182 .. 10.244; node N has POD_PREFIX.N.0/24
SERVICE_PREFIX=10.$((100 + SLOT)).0  # 10.102 .. 10.164; the addresses of Services
API_SERVICE=$SERVICE_PREFIX.1         # the Service "kubernetes", on the loopback interface
bridge_name() { echo "kruise${SLOT}n${1##*.}"; }   # at most 12 of the 15 bytes an interface name may have

node_folder() { echo "$STATE/nodes/$1"; }
node_socket() { echo "$STATE/nodes/$1/run/containerd.sock"; }   # in a folder of its own, which pods can mount
