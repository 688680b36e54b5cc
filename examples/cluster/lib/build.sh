# Kubernetes from Debian's source package: Debian has no binary packages of its servers.
# shellcheck shell=bash

GO=/usr/lib/go-1.19/bin/go
SERVERS=(kube-apiserver kube-controller-manager kube-scheduler kubelet)
BUILD_ID="$KUBERNETES_VERSION go1.19 reflect2-1.0.2 tags=providerless,dockerless"   # another text: build anew

binaries_cached() { [ "$(cat "$BIN/.id" 2>/dev/null)" = "$BUILD_ID" ]; }

need_binaries() {
  binaries_cached && return
  # In a subshell: GOGC=off must not reach the servers started later (apiserver: 820 MiB instead of 320).
  # And not as "(...) || die": that would switch off set -e inside.
  local result
  set +e
  (build_kubernetes)
  result=$?
  set -e
  [ $result = 0 ] || die "the build failed (log: $CACHE/build.log); run \"cluster up\" again when the cause is gone"
}

build_kubernetes() {
  set -euo pipefail
  local work=$CACHE/build source=$CACHE/build/src/k8s.io/kubernetes
  say "building Kubernetes $KUBERNETES_VERSION once; two to four minutes on two cores"
  mkdir -p "$BIN"
  rm -rf "$work"
  mkdir -p "$work/tmp" "$source"
  : >"$CACHE/build.log"
  fetch_source
  file_from_package kubernetes-client ./usr/bin/kubectl "$BIN/kubectl"
  say "sources fetched"
  unpack_source "$source"
  # GOPATH mode: in module mode Go >= 1.17 refuses this vendor folder ("updates to go.mod needed").
  export GO111MODULE=off GOPATH=$work GOCACHE=$work/cache GOTMPDIR=$work/tmp GOFLAGS='' CGO_ENABLED=0
  export GOGC=off     # inherited by the compiler processes: half the time for 1.1 GB at the peak
  cd "$source"
  generate_openapi "$work"
  compile_servers
  cd /
  rm -rf "$work" "$CACHE/apt"
  echo "$BUILD_ID" >"$BIN/.id"
  say "binaries in $BIN"
}

fetch_source() {
  need_download kubernetes-source download_source ||
    { tail -n 15 "$CACHE/build.log" >&2; return 1; }
}

download_source() { { apt_source update && apt_source source --download-only kubernetes; } >>"$CACHE/build.log" 2>&1; }

unpack_source() { # FOLDER
  tar -C "$1" --strip-components=1 --exclude='*/CHANGELOG' --exclude='*/test/*' \
    -xf "$CACHE"/download/kubernetes-source/kubernetes_*.orig.tar.gz
  # The vendored reflect2 1.0.1 calls a runtime function whose signature changed in Go 1.18: it compiles,
  # and the apiserver dies at the first write of a custom resource. Debian's 1.0.2 is right.
  rm -rf "$1/vendor/github.com/modern-go/reflect2"
  cp -r /usr/share/gocode/src/github.com/modern-go/reflect2 "$1/vendor/github.com/modern-go/reflect2"
}

# The one generated file that is not in the tarball: OpenAPI definitions of all types.
generate_openapi() { # WORK_FOLDER
  "$GO" build -p 2 -o "$1/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
  local tag='^ *// *+k8s:openapi-gen=' packages
  packages=$({
    grep -rl --include='*.go' --exclude='*_test.go' "$tag" pkg plugin cmd || true
    (cd staging/src/k8s.io && grep -rl --include='*.go' --exclude='*_test.go' '+k8s:openapi-gen=' .) |
      sed 's#^\./#vendor/k8s.io/#' | grep -v -e '^vendor/k8s.io/code-generator/' -e '^vendor/k8s.io/sample-apiserver/'
  } | xargs -n1 dirname | LC_ALL=C sort -u | sed 's#^#k8s.io/kubernetes/#' | paste -sd,)
  GOGC=100 "$1/openapi-gen" --logtostderr -i "$packages" -p k8s.io/kubernetes/pkg/generated/openapi \
    -O zz_generated.openapi -h vendor/k8s.io/code-generator/hack/boilerplate.go.txt -r "$1/violations" \
    --output-base "$GOPATH/src" 2>>"$CACHE/build.log"
  # Its report of style violations is known upstream, line by line: equality proves that the set of
  # packages above is the right one.
  cmp -s <(sort "$1/violations") <(sort api/api-rules/violation_exceptions.list) ||
    { say "openapi-gen reports other violations than upstream's list"; return 1; }
  say "OpenAPI definitions generated"
}

compile_servers() {
  local flags="-s -w" package
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    package=k8s.io/kubernetes/vendor/$package     # GOPATH mode sees vendored packages under this path
    flags+=" -X $package.gitVersion=$KUBERNETES_VERSION -X $package.gitMajor=1 -X $package.gitMinor=20"
    flags+=" -X $package.gitTreeState=archive -X $package.buildDate=2021-01-13T13:20:00Z"
  done
  # Without cloud SDKs and dockershim it is half the work, and nothing used here is missing.
  "$GO" build -p 2 -tags providerless,dockerless -ldflags "$flags" -o "$BIN/" "${SERVERS[@]/#/./cmd/}" \
    2>>"$CACHE/build.log" || { tail -n 15 "$CACHE/build.log" >&2; return 1; }
  say "compiled ${SERVERS[*]}"
}
