# A second Rust toolchain out of Debian packages, for machines on which rustup has only the host's standard library: the compiler
# and the libraries of one Debian release, unpacked into the cache. Nothing is installed, and /etc stays as it is. The compiler runs with
# the loader and the C library of its own release; what it links is linked by this machine's gcc and C library.
# shellcheck shell=bash

DEBIAN_SUITE=${IMAGES_DEBIAN_SUITE:-forky}      # has Rust 1.97; this machine's release may be too old
DEBIAN_RUST=$CACHE/debian-$DEBIAN_SUITE

# apt-get that knows DEBIAN_SUITE only, for all architectures, and nothing that is installed.
apt_private() { # apt-get arguments...
  local private=$DEBIAN_RUST/apt architecture architectures=()
  for architecture in amd64 arm64 armhf; do architectures+=(-o "APT::Architectures::=$architecture"); done
  apt-get -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$private/parts" -o Dir::State::lists="$private/lists" \
    -o Dir::State::status=/dev/null -o Dir::Cache="$private/cache" -o APT::Get::List-Cleanup=0 -o APT::Sandbox::User=root \
    "${architectures[@]}" "$@"
}

# The machine's own mirror and keyring, with another release.
write_source_list() { # FOLDER
  local sources=/etc/apt/sources.list.d/debian.sources
  if [ -e "$sources" ]; then
    awk 'BEGIN { RS = ""; ORS = "\n\n" } /debian-archive/ && !/security/' "$sources" |
      sed "/^#/d; s/^Suites:.*/Suites: $DEBIAN_SUITE/" >"$1/suite.sources"
  else
    grep -m1 '^deb .*debian' /etc/apt/sources.list | sed -E "s/^(deb (\[[^]]*\] )?[^ ]+) .*/\1 $DEBIAN_SUITE main/" >"$1/suite.list"
  fi
}

debian_architecture() { # RUST_TARGET
  case $1 in
    x86_64-*) echo amd64 ;;
    aarch64-*) echo arm64 ;;
    armv7-*) echo armhf ;;
  esac
}

# PACKAGE[:ARCHITECTURE]...: downloads them (apt checks the signatures) and unpacks them.
unpack_debian() {
  local folder=$DEBIAN_RUST/download deb
  rm -rf "$folder"
  mkdir -p "$folder"
  (cd "$folder" && apt_private download "$@") >>"$CACHE/debian-rust.log" 2>&1 ||
    die "cannot download $* of Debian $DEBIAN_SUITE (see $CACHE/debian-rust.log)"
  for deb in "$folder"/*.deb; do dpkg-deb --extract "$deb" "$DEBIAN_RUST/root"; done
  rm -rf "$folder"
}

# RUST_TARGET: leaves the compiler in $DEBIAN_RUST/rustc, able to compile for this machine and for that target.
need_debian_rust() {
  local root=$DEBIAN_RUST/root host target private=$DEBIAN_RUST/apt packages loader
  command -v dpkg-deb >/dev/null || return 1
  host=$(dpkg --print-architecture) target=$(debian_architecture "$1")
  if [ ! -e "$DEBIAN_RUST/rustc" ]; then
    say "unpacking Rust of Debian $DEBIAN_SUITE"
    rm -rf "$root"
    mkdir -p "$root"/usr/{lib,lib64,bin} "$private"/{parts,lists/partial,cache/archives/partial}
    ln -s usr/lib usr/lib64 usr/bin "$root"      # as dpkg would find them
    write_source_list "$private/parts"
    apt_private update >"$CACHE/debian-rust.log" 2>&1 || die "apt-get update for Debian $DEBIAN_SUITE failed (see $CACHE/debian-rust.log)"
    # Of all that the compiler depends on, its libraries; the linker is this machine's.
    mapfile -t packages < <(apt_private install --print-uris --no-install-recommends -y rustc |
      sed -nE "s/^'[^']*' ([^_]+)_.*_$host\.deb .*/\1/p" |
      grep -E '^(rustc$|libstd-rust-|libllvm|libc6$|libgcc-s1$|libstdc\+\+6$|zlib1g$|libzstd1$|libxml2|libz3|libedit2$|libffi|libtinfo|libbsd0$|libmd0$)')
    unpack_debian "${packages[@]/%/:$host}"
    loader=$(readelf -lW "$root/usr/bin/rustc" | sed -n 's/.*program interpreter: \(.*\)]/\1/p')
    [ -e "$root$loader" ] || die "Debian's rustc has no loader $loader"
    cat >"$DEBIAN_RUST/rustc.new" <<S
#!/bin/sh
exec '$root$loader' --library-path '$root/usr/lib/$(uname -m)-linux-gnu' '$root/usr/bin/rustc' --sysroot '$root/usr' "\$@"
S
    chmod 755 "$DEBIAN_RUST/rustc.new"
    mv "$DEBIAN_RUST/rustc.new" "$DEBIAN_RUST/rustc"
  fi
  [ -d "$root/usr/lib/rustlib/$1/lib" ] || {
    say "unpacking the standard library for $1"
    unpack_debian "libstd-rust-dev:$target"
  }
}
