#!/usr/bin/env bash
# Process 1 of a node: node-init.sh FOLDER LOG_PREFIX KUBELET_COMMAND...
# Runs in mount and pid namespaces of its own, because containerd and kubelet have fixed paths in /run,
# /var/lib and /var/log, and because the end of this process is the end of every shim and pod.
set -euo pipefail
folder=$1 log=$2
shift 2

mount --make-rprivate /
mount -t proc proc /proc
mount --bind "$folder/var-lib" /var/lib
mount --bind "$folder/var-log" /var/log
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/cri
mount --bind "$folder/run" /run/cri     # the runtime's socket, at one path on all nodes
for file in "$folder"/sysctl/*; do
  name=${file##*/}
  mount --bind "$file" "/proc/sys/${name//.//}"
done
mount --make-rshared /     # volumes with mount propagation need it
rm -f "$folder/run/containerd.sock"

# NAME COMMAND...: starts it again whenever it ends, but not while FOLDER/hold-NAME exists.
keep_running() {
  local name=$1
  shift
  while :; do
    while [ -e "$folder/hold-$name" ]; do sleep 0.05; done
    "$@" >>"$log-$name.log" 2>&1 || true
    sleep 0.2
  done
}

kubelet() {   # it would end at once without a runtime to talk to
  until [ -S "$folder/run/containerd.sock" ]; do sleep 0.05; done
  exec "${kubelet_command[@]}"
}
kubelet_command=("$@")

keep_running containerd containerd --config "$folder/containerd.toml" &
keep_running kubelet eval '(kubelet)' &
while :; do wait || true; sleep 1; done     # and collects the dead that are handed to process 1
