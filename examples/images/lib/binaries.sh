# One static binary of each program for one architecture.
# shellcheck shell=bash

has_std() { # RUSTC TARGET
  local folder
  folder=$("$1" --print target-libdir --target "$2" 2>/dev/null) && compgen -G "$folder/libstd-*.rlib" >/dev/null
}

# RUST_TARGET: prints the compiler that has its standard library, after making one available.
compiler_for() {
  local rustc=${RUSTC:-rustc}
  if [ "$RUST" != debian ] || [ "$1" = "$HOST_TARGET" ]; then
    has_std "$rustc" "$1" && { echo "$rustc"; return; }
    if command -v rustup >/dev/null; then
      say "rustup target add $1"
      rustup target add "$1" >"$CACHE/rustup.log" 2>&1 && has_std "$rustc" "$1" && { echo "$rustc"; return; }
    fi
    [ "$RUST" = auto ] || die "rustup has no standard library for $1 (see $CACHE/rustup.log)"
    say "rustup has none; taking Debian's"
  fi
  need_debian_rust "$1" || die "no standard library for $1: run \"rustup target add $1\" where rustup has it"
  has_std "$DEBIAN_RUST/rustc" "$1" || die "Debian's package brought no standard library for $1"
  echo "$DEBIAN_RUST/rustc"
}

# ARCHITECTURE: prints the C compiler, which ring needs, and which links.
gcc_for() {
  local prefix
  prefix=$(gcc_prefix "$1")
  if command -v "$prefix-gcc" >/dev/null; then echo "$prefix-gcc"
  elif [ "$(rust_target "$1")" = "$HOST_TARGET" ]; then echo cc
  else die "no C compiler for $1; on Debian, as root: apt-get install --no-install-recommends $(gcc_packages "$1")"
  fi
}

gcc_packages() { # ARCHITECTURE
  case $1 in
    amd64) echo gcc-x86-64-linux-gnu libc6-dev-amd64-cross ;;
    arm64) echo gcc-aarch64-linux-gnu libc6-dev-arm64-cross ;;
    arm-v7) echo gcc-arm-linux-gnueabihf libc6-dev-armhf-cross ;;
  esac
}

# Cross compilers, if this is a Debian and we are root; else gcc_for tells what is missing.
need_gcc() { # ARCHITECTURE...
  local architecture packages=()
  for architecture; do
    [ "$(rust_target "$architecture")" != "$HOST_TARGET" ] || continue
    # shellcheck disable=SC2207
    command -v "$(gcc_prefix "$architecture")-gcc" >/dev/null || packages+=($(gcc_packages "$architecture"))
  done
  [ ${#packages[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 0
  say "installing ${packages[*]}"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    -o DPkg::Lock::Timeout=300 "${packages[@]}"; } >"$CACHE/apt.log" 2>&1 || die "apt-get failed (see $CACHE/apt.log)"
}

# ARCHITECTURE: builds, and leaves the programs in $CACHE/binaries/ARCHITECTURE.
build_binaries() {
  local target upper rustc gcc name program folder binary
  target=$(rust_target "$1") upper=$(tr a-z- A-Z_ <<<"$target") name=${target//-/_}
  rustc=$(compiler_for "$target")
  gcc=$(gcc_for "$1")
  # Compilers do not share a folder: cargo would build everything anew at each change.
  folder=$CACHE/target/$([ "$rustc" = "$DEBIAN_RUST/rustc" ] && echo debian || echo native)
  say "compiling for $1 with $("$rustc" --version), linked by $gcc"
  local arguments=()
  for program in "${PROGRAMS[@]}"; do arguments+=(-p "$program"); done
  # Paths of this machine would end up in panic messages, and two machines would make different binaries.
  (cd "$ROOT" && env "RUSTC=$rustc" "CARGO_TARGET_${upper}_LINKER=$gcc" "CC_$name=$gcc" "CARGO_TARGET_DIR=$folder" \
    RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo" \
    cargo build --quiet --release --locked --target "$target" "${arguments[@]}" >&2) || die "cargo failed for $1"
  mkdir -p "$CACHE/binaries/$1"
  for program in "${PROGRAMS[@]}"; do
    binary=$CACHE/binaries/$1/$program
    cp "$folder/$target/release/$program" "$binary.new"
    check_binary "$1" "$program" "$binary.new"
    mv "$binary.new" "$binary"
  done
}

check_binary() { # ARCHITECTURE PROGRAM FILE
  local headers size folder
  headers=$(readelf -hlW "$3")
  grep -q "Machine: *$(elf_machine "$1")$" <<<"$headers" || die "$2 is not for $1"
  ! grep -q INTERP <<<"$headers" || die "$2 for $1 is not static: it asks for an interpreter"
  # readelf is asked in full first: grep -q would close the pipe on it
  headers=$(readelf -dW "$3")
  ! grep -q NEEDED <<<"$headers" || die "$2 for $1 is not static: it needs libraries"
  for folder in "$ROOT" "$CACHE" "${CARGO_HOME:-$HOME/.cargo}"; do
    ! grep -aqF "$folder/" "$3" || die "$2 for $1 has paths of this machine in it ($folder)"
  done
  size=$(stat -c %s "$3")
  ((size <= MAX_SIZE[$2])) || die "$2 for $1 has $size bytes, more than ${MAX_SIZE[$2]}"
  say "$2 for $1: $(awk -v b="$size" 'BEGIN { printf "%.1f MB", b / 1000000 }'), static"
}
