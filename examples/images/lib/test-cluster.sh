# The images of this machine's architecture on a real cluster: its containerd pulls them from the registry, its kubelet runs them, and
# they pull an image.
# shellcheck shell=bash

# Clear of the clusters of the demo, the end-to-end tests and people.
export CLUSTER_PORT_BASE=${IMAGES_PORT_BASE:-41000}

cluster() { "$HERE/../cluster/cluster" "$@"; }

# TEXT COMMAND...: waits up to 90 s for the command to print the text.
await() { # TEXT COMMAND...
  local text=$1 got='' i
  shift
  for ((i = 0; i < 300; i++)); do
    got=$("$@" 2>/dev/null || true)
    [ "$got" != "$text" ] || return 0
    sleep 0.3
  done
  say "wanted '$text', got '$got' of: $*"
  kubectl -n kruise-system get pods -o wide >&2 || true
  kubectl -n kruise-system describe pods | tail -n 30 >&2 || true
  for i in kruise-manager kruise-daemon; do kubectl -n kruise-system logs "$i" --tail=15 >&2 || true; done
  die "the images do not work on the cluster"
}

pods() { # NODE TAG
  local socket
  socket=$(cluster node socket "$1")
  sed -e "s|nodeName: NODE|nodeName: $1|; s|RUN_FOLDER|${socket%/*}|; s|REGISTRY|$CLUSTER_REGISTRY|g; s|TAG|$2|g; s|API_PORT|$((CLUSTER_PORT_BASE + 443))|g" \
    -e "s|METRICS_PORT|$((CLUSTER_PORT_BASE + 910))|g; s|HEALTH_PORT|$((CLUSTER_PORT_BASE + 911))|g" \
    -e "s|WEBHOOK_PORT|$((CLUSTER_PORT_BASE + 912))|g; s|DAEMON_PORT|$((CLUSTER_PORT_BASE + 913))|g" "$HERE/lib/pods.yaml"
}

test_cluster() { # ARCHITECTURE
  local node tag=test-$$ variables image
  say "a cluster with one node"
  CLUSTER_TEST=yes
  cluster up --nodes 1 2>"$WORK/cluster.log" || { tail -n 20 "$WORK/cluster.log" >&2; die "no cluster"; }
  variables=$(cluster env)
  eval "$variables"
  node=${CLUSTER_NODES%% *}
  "$HERE/build" --no-compile "${ARCH_ARGUMENTS[@]}" --tag "$tag" --out "$WORK/pushed" --push "$CLUSTER_REGISTRY/kruise" >"$WORK/pushed.txt" 2>"$WORK/push.log" ||
    { cat "$WORK/push.log" >&2; die "push failed"; }
  cluster push images-test/app:v1 >/dev/null 2>&1
  kubectl apply -f "$ROOT/examples/manifests/crds.yaml" -f "$ROOT/examples/manifests/rbac.yaml" >/dev/null
  kubectl wait --for=condition=Established --timeout=30s -f "$ROOT/examples/manifests/crds.yaml" >/dev/null
  pods "$node" "$tag" | kubectl apply -f - >/dev/null
  await 'True True' kubectl -n kruise-system get pods -o 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}'
  say "both pods are ready"
  # The node's runtime reports the digest of the index that was pushed.
  for image in kruise-manager kruise-daemon; do
    await "$CLUSTER_REGISTRY/kruise/$image@$(awk -v n="/$image:" 'index($1, n) { print $2 }' "$WORK/pushed.txt")" \
      kubectl -n kruise-system get pod "$image" -o 'jsonpath={.status.containerStatuses[0].imageID}'
  done
  kubectl apply -f - >/dev/null <<Y
apiVersion: apps.kruise.io/v1alpha1
kind: ImagePullJob
metadata: {name: app, namespace: default}
spec: {image: "$CLUSTER_REGISTRY/images-test/app:v1", completionPolicy: {type: Always}}
Y
  await 1 kubectl get imagepulljob app -o 'jsonpath={.status.succeeded}'
  cluster node images "$node" | grep -q images-test/app || die "the node does not have the image that the job reports"
  say "manager and daemon pulled an image on a real node"
}
