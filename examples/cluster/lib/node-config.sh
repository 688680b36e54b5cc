# The files a node is started from.
# shellcheck shell=bash

write_node_config() { # NAME
  local name=$1 folder
  folder=$(node_folder "$1")
  mkdir -p "$folder"/{run,var-lib,var-log,cni,volume-plugins,sysctl}
  write_cni_config "$folder" "$name"
  write_containerd_config "$folder" "$name"
  write_kubelet_config "$folder" "$name"
  # kubelet and the bridge plugin want these values in /proc/sys; they are shown files instead, and the
  # machine keeps its own.
  local pair
  for pair in vm.overcommit_memory=1 vm.panic_on_oom=0 kernel.panic=10 kernel.panic_on_oops=1 \
    kernel.keys.root_maxkeys=1000000 kernel.keys.root_maxbytes=25000000 net.ipv4.ip_forward=1; do
    printf '%s' "${pair#*=}" >"$folder/sysctl/${pair%=*}"
  done
}

# Addresses are kept in the node's own /run: they are all free again after a restart of the node.
write_cni_config() { # FOLDER NAME
  cat >"$1/cni/10-bridge.conflist" <<Y
{"cniVersion": "0.4.0", "name": "pods", "plugins": [{
  "type": "bridge", "bridge": "$(bridge_name "$2")", "isGateway": true, "ipMasq": false,
  "ipam": {"type": "host-local", "dataDir": "/run/cni-addresses",
           "ranges": [[{"subnet": "$POD_PREFIX.${2##*.}.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
Y
}

# restrict_oom_score_adj: without CAP_SYS_RESOURCE (containers, some virtual machines) each sandbox
# would fail with "can't get final child's PID from pipe: EOF".
write_containerd_config() { # FOLDER NAME
  cat >"$1/containerd.toml" <<Y
version = 2
root = "$1/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp",
]
[grpc]
  address = "$(node_socket "$2")"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$OPEN_REGISTRY/pause:1"
  stream_server_address = "$2"
  stream_server_port = "$STREAMING_PORT"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$1/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "$STATE/hosts"
Y
}

# No eviction and no image removal unless the disk is full: tests decide what is deleted.
# Unlimited events and many API calls: tests must not wait for a kubelet's modesty.
# A change of the node's state is seen within a second; without a change the Node object is written every
# five minutes only (unset, that would follow the first number), so that tests which update Nodes meet
# few conflicts.
# A pod that has ended is looked at again soon: kubelet 1.20 misses the moment now and then, and by default looks after a minute.
write_kubelet_config() { # FOLDER NAME
  cat >"$1/kubelet.yaml" <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $2
port: $KUBELET_PORT
readOnlyPort: 0
healthzPort: 0
tlsCertFile: $PKI/node-$2.crt
tlsPrivateKeyFile: $PKI/node-$2.key
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $PKI/ca.crt}}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failSwapOn: false
makeIPTablesUtilChains: false
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 10Mi, nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%}
nodeStatusUpdateFrequency: 1s
syncFrequency: 5s
nodeStatusReportFrequency: 5m
serializeImagePulls: false
registryPullQPS: 0
eventRecordQPS: 0
kubeAPIQPS: 200
kubeAPIBurst: 400
volumePluginDir: $1/volume-plugins
resolvConf: /etc/resolv.conf
Y
}
