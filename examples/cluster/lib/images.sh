# Test images, made by hand from tar, gzip and sha256sum and uploaded by curl. An image is
#   a base layer: a static busybox and /app, the same in all images;
#   a name layer: /image with NAME:TAG in it, or the file of --file as /app;
#   padding layers, if asked for: bytes that do not compress, the same ones for the same NAME:TAG.
# shellcheck shell=bash

BASE_LAYER=$CACHE/image/base-2     # .gz and .diff-id, made once; another number: other content

# tar that depends on nothing but names and contents
plain_tar() { tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 --format=ustar "$@"; }

sha256() { sha256sum "$1" | cut -d' ' -f1; }

need_base_layer() {
  [ -e "$BASE_LAYER.gz" ] && return
  local root
  mkdir -p "$CACHE/image"
  root=$(mktemp -d "$CACHE/image/root.XXXXXX")
  mkdir -p "$root"/{bin,etc,tmp}
  chmod 755 "$root"
  chmod 1777 "$root/tmp"
  file_from_package busybox-static ./bin/busybox "$root/bin/busybox"
  local applet
  for applet in $("$root/bin/busybox" --list); do [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"; done
  cp "$HERE/lib/app.sh" "$root/app"
  chmod 755 "$root/app"
  plain_tar -C "$root" -cf "$root.tar" .
  sha256 "$root.tar" >"$root.diff-id"
  gzip -n -1 "$root.tar"
  # Another cluster may be doing the same: each file appears whole, and last the one that is looked for.
  mv "$root.diff-id" "$BASE_LAYER.diff-id"
  mv "$root.tar.gz" "$BASE_LAYER.gz"
  rm -rf "$root"
}

# FILE SEED MIB: the key stream of AES for a zero text is as good as noise, and fast.
write_padding() {
  local key
  key=$(printf '%s' "$2" | sha256sum | cut -c1-32)
  head -c "$(($3 * 1048576))" /dev/zero | openssl enc -aes-128-ctr -K "$key" -iv 00000000000000000000000000000000 >"$1"
}

# WORK MEDIA_TYPE FILE: moves FILE into the image's blobs and prints its descriptor.
add_blob() {
  local digest
  digest=$(sha256 "$3")
  printf '{"mediaType":"%s","digest":"sha256:%s","size":%s}' "$2" "$digest" "$(stat -c %s "$3")"
  mv "$3" "$1/blobs/sha256:$digest"
}

# WORK TAR: adds a layer.
add_layer() {
  sha256 "$2" >"$2.diff-id"
  gzip -n -1 "$2"
  add_compressed_layer "$1" "$2"
}

# WORK TAR: adds a layer of TAR.gz and TAR.diff-id; its descriptor and the digest of the plain tar go to lists in WORK.
add_compressed_layer() {
  cat "$2.diff-id" >>"$1/diff-ids"
  add_blob "$1" application/vnd.oci.image.layer.v1.tar+gzip "$2.gz" >>"$1/layers"
  echo >>"$1/layers"
}

# WORK IMAGE OS ARCHITECTURE SIZE LAYERS FILE: leaves blobs/ and top (manifest or index); prints nothing.
build_image() {
  local work=$1 image=$2 os=$3 arch=$4 size=$5 layers=$6 file=$7 i share config entries=(image)
  mkdir -p "$work/blobs" "$work/root"
  cp "$BASE_LAYER.gz" "$BASE_LAYER.diff-id" "$work"
  add_compressed_layer "$work" "$work/${BASE_LAYER##*/}"
  if [ -n "$file" ]; then
    install -m 755 "$file" "$work/root/app"
    entries+=(app)
  fi
  echo "$image" >"$work/root/image"
  chmod 644 "$work/root/image"
  plain_tar -C "$work/root" -cf "$work/name.tar" "${entries[@]}"
  add_layer "$work" "$work/name.tar"
  for ((i = 0; size > 0 && i < layers; i++)); do
    share=$((size / layers + (i < size % layers ? 1 : 0)))
    write_padding "$work/padding-$i" "$image $i" "$share"
    plain_tar -C "$work" -cf "$work/padding.tar" "padding-$i"
    rm "$work/padding-$i"
    add_layer "$work" "$work/padding.tar"
  done
  printf '{"architecture":"%s","os":"%s","config":{"Entrypoint":["/app"],"Env":["PATH=/bin"]},"rootfs":{"type":"layers","diff_ids":[%s]}}' \
    "$arch" "$os" "$(sed 's/.*/"sha256:&"/' "$work/diff-ids" | paste -sd,)" >"$work/config"
  config=$(add_blob "$work" application/vnd.oci.image.config.v1+json "$work/config")
  printf '{"schemaVersion":2,"mediaType":"%s","config":%s,"layers":[%s]}' \
    "$MANIFEST_TYPE" "$config" "$(paste -sd, "$work/layers")" >"$work/top"
}

MANIFEST_TYPE=application/vnd.oci.image.manifest.v1+json
INDEX_TYPE=application/vnd.oci.image.index.v1+json

# A runtime looks for its platform in an index only, so a foreign image gets one.
wrap_in_index() { # WORK OS ARCHITECTURE
  local digest size
  digest=sha256:$(sha256 "$1/top")
  size=$(stat -c %s "$1/top")
  mv "$1/top" "$1/manifest"
  printf '{"schemaVersion":2,"mediaType":"%s","manifests":[{"mediaType":"%s","digest":"%s","size":%s,"platform":{"os":"%s","architecture":"%s"}}]}' \
    "$INDEX_TYPE" "$MANIFEST_TYPE" "$digest" "$size" "$2" "$3" >"$1/top"
}

# WORK REGISTRY NAME TAG: top is a manifest, or an index if there are files manifest*.
upload_image() {
  local work=$1 url=http://$2/v2/$3 blob location manifest type=$MANIFEST_TYPE auth=()
  [ "$2" != "$AUTH_REGISTRY" ] || auth=(-u "$REGISTRY_USER:$REGISTRY_PASSWORD")
  for blob in "$work"/blobs/*; do
    local digest=${blob##*/}
    local_curl -f -o /dev/null -I "${auth[@]}" "$url/blobs/$digest" 2>/dev/null && continue
    location=$(local_curl -f "${auth[@]}" -D - -o /dev/null -X POST "$url/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
    local_curl -f -o /dev/null "${auth[@]}" -H 'Content-Type: application/octet-stream' -T "$blob" "$location&digest=$digest"
  done
  # Of an index, its manifests first: a registry takes none whose parts it lacks.
  for manifest in "$work"/manifest*; do
    [ -e "$manifest" ] || continue
    type=$INDEX_TYPE
    local_curl -f -o /dev/null "${auth[@]}" -H "Content-Type: $MANIFEST_TYPE" -T "$manifest" "$url/manifests/sha256:$(sha256 "$manifest")"
  done
  local_curl -f -o /dev/null "${auth[@]}" -H "Content-Type: $type" -T "$work/top" "$url/manifests/$4"
}

native_architecture() { dpkg --print-architecture; }     # Debian and Go agree on amd64, arm64, ...

push_command() {
  local image='' size=0 layers=1 platform='' file='' registry=''
  while [ $# -gt 0 ]; do
    case $1 in
      --size | --layers | --platform | --file | --registry)
        [ $# -ge 2 ] || bad_usage "$1 needs a value"
        printf -v "${1#--}" %s "$2"
        shift 2 ;;
      -*) bad_usage "push: unknown option $1" ;;
      *) [ -z "$image" ] || bad_usage "push takes one image name"; image=$1; shift ;;
    esac
  done
  [[ $image =~ ^[a-z0-9]+([._/-]+[a-z0-9]+)*:[A-Za-z0-9_][A-Za-z0-9_.-]*$ ]] || bad_usage "push: NAME:TAG, lower case and without a registry, not '$image'"
  [[ $size =~ ^[0-9]+$ && $layers =~ ^[1-9][0-9]*$ ]] || bad_usage "push: --size and --layers are numbers"
  [[ -z $platform || $platform =~ ^[a-z0-9]+/[a-z0-9]+$ ]] || bad_usage "push: --platform OS/ARCH"
  [ -z "$file" ] || [ -r "$file" ] || die "push: cannot read $file"
  [ -n "$registry" ] || { is_up registry-open && is_up registry-auth; } || die "the registries are not running; start them with \"cluster up\" or \"cluster registry start open|auth\""
  push_image "$image" "$size" "$layers" "${platform:-linux/$(native_architecture)}" "$file" "$registry"
}

push_image() ( # IMAGE SIZE LAYERS PLATFORM FILE [REGISTRY]    a subshell: its trap removes the work folder
  need_base_layer
  work=$(mktemp -d "${TMPDIR:-/tmp}/kruise-push.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  name=${1%:*} tag=${1##*:} os=${4%/*} arch=${4#*/}
  build_image "$work" "$1" "$os" "$arch" "$2" "$3" "$5"
  [ "$os/$arch" = "linux/$(native_architecture)" ] || wrap_in_index "$work" "$os" "$arch"
  if [ -n "${6:-}" ]; then upload_image "$work" "$6" "$name" "$tag"
  else
    upload_image "$work" "$OPEN_REGISTRY" "$name" "$tag"
    upload_image "$work" "$AUTH_REGISTRY" "$name" "$tag"
    # Docker's short names: a runtime looks for nginx:1.9 as library/nginx:1.9 of docker.io.
    [[ $name == */* ]] || upload_image "$work" "$OPEN_REGISTRY" "library/$name" "$tag"
  fi
  echo "sha256:$(sha256 "$work/top")"
)

# What holds a pod's namespaces. The test image does well as that.
need_pause_image() {
  local_curl -f -o /dev/null -I "http://$OPEN_REGISTRY/v2/pause/manifests/1" \
    -H "Accept: $MANIFEST_TYPE" 2>/dev/null || push_image pause:1 0 1 "linux/$(native_architecture)" '' >/dev/null
}
