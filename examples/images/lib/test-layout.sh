# What can be said about an image without running it.
# shellcheck shell=bash

# LAYOUT_TAR FOLDER: unpacks it; each blob must have the digest that it is called by.
unpack_layout() {
  local blob
  mkdir -p "$2"
  tar -C "$2" -xf "$1"
  for blob in "$2"/blobs/sha256/*; do
    [ "$(sha256 "$blob")" = "${blob##*/}" ] || die "blob ${blob##*/} has another digest"
  done
}

digest_of() { sed -n 's/.*"digest":"sha256:\([0-9a-f]*\)".*/\1/p' <<<"$1"; }

# FOLDER ARCHITECTURE: prints the manifest of that platform.
manifest_of() {
  local index entry
  index=$(digest_of "$(cat "$1/index.json")")
  entry=$(tr '{' '\n' <"$1/blobs/sha256/$index" | grep -F -B1 "$(oci_platform "$2")" | head -n 1)
  [ -n "$entry" ] || die "the index has no platform $2"
  cat "$1/blobs/sha256/$(digest_of "$entry")"
}

# FOLDER ARCHITECTURE ROOT: the file system of that platform.
unpack_root() {
  local manifest layer
  manifest=$(manifest_of "$1" "$2")
  layer=$(digest_of "${manifest#*layers}")
  mkdir -p "$3"
  tar -C "$3" -xzf "$1/blobs/sha256/$layer"
}

config_of() { # FOLDER ARCHITECTURE
  local manifest
  manifest=$(manifest_of "$1" "$2")
  cat "$1/blobs/sha256/$(digest_of "${manifest%%layers*}")"
}

test_layout() { # PROGRAM ARCHITECTURE
  local folder=$WORK/layout/$1 root=$WORK/root/$1-$2 files config
  unpack_root "$folder" "$2" "$root"
  files=$(cd "$root" && find . -type f | sort | paste -sd' ')
  [ "$files" = "./etc/group ./etc/passwd ./$1" ] || die "$1 for $2 holds other files than it should: $files"
  check_binary "$2" "$1" "$root/$1"
  config=$(config_of "$folder" "$2")
  [[ $config == *"\"User\":\"${RUN_AS[$1]}\""* ]] || die "$1 for $2 runs as another user"
  [[ $config == *"\"org.opencontainers.image.version\":\"$VERSION\""* ]] || die "$1 for $2 has no label with its version"
}

test_same_bytes() { # the same programs give the same images
  local program
  "$HERE/build" --no-compile "${ARCH_ARGUMENTS[@]}" --out "$WORK/again" >"$WORK/digests-again" 2>/dev/null
  diff <(cut -d' ' -f1,2 "$WORK/digests") <(cut -d' ' -f1,2 "$WORK/digests-again") || die "two runs give different digests"
  for program in "${PROGRAMS[@]}"; do
    cmp "$WORK/out/$program.oci.tar" "$WORK/again/$program.oci.tar" || die "two runs give different layouts of $program"
  done
}

# The same sources in another folder give the same programs.
test_other_checkout() {
  local copy=$WORK/elsewhere/kruise architecture=${ARCHITECTURES_TESTED[0]} program
  mkdir -p "$copy"
  (cd "$ROOT" && git ls-files -z | tar --null --files-from=- -c) | tar -C "$copy" -x
  cp -r "$CACHE/binaries/$architecture" "$WORK/first"
  "$copy/examples/images/build" --binaries --arch "$architecture" --out "$WORK/second"
  for program in "${PROGRAMS[@]}"; do
    cmp "$WORK/first/$program" "$WORK/second/$architecture/$program" || die "$program depends on the folder it is built in"
  done
}
