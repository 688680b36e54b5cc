# OCI images out of tar, gzip and sha256sum. An image is one layer: the program, /etc/passwd and /etc/group; and, of a program that
# is not static, its libraries.
# Blobs, layers and uploads are shared with the test images of examples/cluster.
# shellcheck shell=bash

AUTH_REGISTRY=''      # none of the registries here asks for a password
local_curl() { curl -sS --noproxy '*' --max-time 120 "$@"; }
# shellcheck source=../../cluster/lib/images.sh
. "$HERE/../cluster/lib/images.sh"

# The same sources give the same bytes: all times are the commit's.
read_source() {
  VERSION=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$ROOT/Cargo.toml" | head -n 1)
  SOURCE=$(sed -n 's/^repository = "\(.*\)"$/\1/p' "$ROOT/Cargo.toml" | head -n 1)
  LICENSE=$(sed -n 's/^license = "\(.*\)"$/\1/p' "$ROOT/Cargo.toml" | head -n 1)
  local epoch
  epoch=${SOURCE_DATE_EPOCH:-$(git -C "$ROOT" log -1 --format=%ct 2>/dev/null || echo 0)}
  CREATED=$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)
  REVISION=$(git -C "$ROOT" rev-parse HEAD 2>/dev/null || echo unknown)
  [ -z "$(git -C "$ROOT" status --porcelain 2>/dev/null)" ] || REVISION+=-modified
}

labels() { # PROGRAM
  printf '{"org.opencontainers.image.created":"%s","org.opencontainers.image.description":"%s","org.opencontainers.image.licenses":"%s","org.opencontainers.image.revision":"%s","org.opencontainers.image.source":"%s","org.opencontainers.image.title":"%s","org.opencontainers.image.version":"%s"}' \
    "$CREATED" "${DESCRIPTION[$1]}" "$LICENSE" "$REVISION" "$SOURCE" "$1" "$VERSION"
}

# ROOT PROGRAM BINARY: any program of this machine, as small as it gets, and what it loads.
put_dynamic() {
  local library
  strip -o "$1/$2" "$3"
  while read -r library; do install -D -m 755 "$library" "$1$library"; done < <(ldd "$3" | grep -o '/[^ ]*')
}

# WORK PROGRAM ARCHITECTURE BINARY: adds its layer, configuration and manifest; a line of the index goes to WORK/entries.
add_platform() {
  local work=$1 program=$2 platform root=$1/root diff size layer config manifest
  platform=$(oci_platform "$3")
  rm -rf "$root"
  mkdir -p "$root/etc"
  printf 'root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n' >"$root/etc/passwd"
  printf 'root:x:0:\nnonroot:x:65532:\n' >"$root/etc/group"
  if [ -n "${FROM:-}" ]; then put_dynamic "$root" "$program" "$4"; else cp "$4" "$root/$program"; fi
  chmod 755 "$root/etc" "$root/$program"
  chmod 644 "$root/etc/passwd" "$root/etc/group"
  # shellcheck disable=SC2046    # names without spaces: ours, and lib
  plain_tar -C "$root" -cf "$work/layer" $(LC_ALL=C ls "$root")
  size=$(stat -c %s "$work/layer")
  [ -n "${FROM:-}" ] || ((size <= MAX_SIZE[$program])) ||
    die "the layer of $program for $3 has $size bytes, more than ${MAX_SIZE[$program]}"
  diff=$(sha256 "$work/layer")
  gzip -n "-${LEVEL:-9}" "$work/layer"
  layer=$(add_blob "$work" application/vnd.oci.image.layer.v1.tar+gzip "$work/layer.gz")
  printf '{"created":"%s",%s,"config":{"User":"%s","Entrypoint":["/%s"],"WorkingDir":"/","Labels":%s},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[{"created":"%s","comment":"%s"}]}' \
    "$CREATED" "$platform" "${RUN_AS[$program]}" "$program" "$(labels "$program")" "$diff" "$CREATED" "$program and its users" >"$work/config"
  config=$(add_blob "$work" application/vnd.oci.image.config.v1+json "$work/config")
  manifest=$work/manifest-$3
  printf '{"schemaVersion":2,"mediaType":"%s","config":%s,"layers":[%s]}' "$MANIFEST_TYPE" "$config" "$layer" >"$manifest"
  printf '{"mediaType":"%s","digest":"sha256:%s","size":%s,"platform":{%s}}\n' \
    "$MANIFEST_TYPE" "$(sha256 "$manifest")" "$(stat -c %s "$manifest")" "$platform" >>"$work/entries"
}

# WORK PROGRAM ARCHITECTURE...: leaves blobs/, manifest-ARCHITECTURE and top, the index over them.
build_index() {
  local work=$1 program=$2 architecture
  shift 2
  mkdir -p "$work/blobs"
  for architecture; do add_platform "$work" "$program" "$architecture" "${FROM:-$CACHE/binaries/$architecture}/$program"; done
  printf '{"schemaVersion":2,"mediaType":"%s","manifests":[%s],"annotations":%s}' \
    "$INDEX_TYPE" "$(paste -sd, "$work/entries")" "$(labels "$program")" >"$work/top"
}

# WORK TAG FILE: an OCI image layout as one tar, which skopeo, podman, containerd and Docker (25 and newer) read.
write_layout() {
  local work=$1 layout=$1/layout blob digest
  mkdir -p "$layout/blobs/sha256"
  for blob in "$work"/blobs/*; do cp "$blob" "$layout/blobs/sha256/${blob##*/sha256:}"; done
  for blob in "$work"/manifest-* "$work/top"; do cp "$blob" "$layout/blobs/sha256/$(sha256 "$blob")"; done
  digest=$(sha256 "$work/top")
  printf '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
  printf '{"schemaVersion":2,"mediaType":"%s","manifests":[{"mediaType":"%s","digest":"sha256:%s","size":%s,"annotations":{"org.opencontainers.image.ref.name":"%s"}}]}' \
    "$INDEX_TYPE" "$INDEX_TYPE" "$digest" "$(stat -c %s "$work/top")" "$2" >"$layout/index.json"
  chmod -R u=rwX,go=rX "$layout"
  plain_tar -C "$layout" -cf "$3.new" blobs index.json oci-layout
  mv "$3.new" "$3"
}
