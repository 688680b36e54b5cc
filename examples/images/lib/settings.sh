# What is built, for whom and how large it may be.
# shellcheck shell=bash disable=SC2034

PROGRAMS=(kruise-manager kruise-daemon)
ARCHITECTURES=(amd64 arm64 arm-v7)
CACHE=${IMAGES_CACHE:-${XDG_CACHE_HOME:-${HOME:-~}/.cache}/kruise-images}
RUST=${IMAGES_RUST:-auto}                 # auto, rustup or debian: where the standard library of other architectures comes from

# Bytes: the binary, and the sum of the unpacked layers.
declare -A MAX_SIZE=([kruise-manager]=$((25 * 1000 * 1000)) [kruise-daemon]=$((15 * 1000 * 1000)))
declare -A DESCRIPTION=(
  [kruise-manager]="Controllers and webhooks of kruise-rs"
  [kruise-daemon]="Node agent of kruise-rs: pulls images through the container runtime"
)
# The daemon talks to the runtime's socket, which belongs to root.
declare -A RUN_AS=([kruise-manager]=65532:65532 [kruise-daemon]=0:0)

rust_target() { # ARCHITECTURE
  case $1 in
    amd64) echo x86_64-unknown-linux-gnu ;;
    arm64) echo aarch64-unknown-linux-gnu ;;
    arm-v7) echo armv7-unknown-linux-gnueabihf ;;
  esac
}

host_architecture() {
  local architecture
  for architecture in "${ARCHITECTURES[@]}"; do
    [ "$(rust_target "$architecture")" != "$HOST_TARGET" ] || echo "$architecture"
  done
}

gcc_prefix() { # ARCHITECTURE
  case $1 in
    amd64) echo x86_64-linux-gnu ;;
    arm64) echo aarch64-linux-gnu ;;
    arm-v7) echo arm-linux-gnueabihf ;;
  esac
}

# As an image index has it.
oci_platform() { # ARCHITECTURE
  case $1 in
    arm-v7) echo '"architecture":"arm","os":"linux","variant":"v7"' ;;
    *) echo "\"architecture\":\"$1\",\"os\":\"linux\"" ;;
  esac
}

# What readelf calls the machine.
elf_machine() { # ARCHITECTURE
  case $1 in
    amd64) echo 'Advanced Micro Devices X86-64' ;;
    arm64) echo AArch64 ;;
    arm-v7) echo ARM ;;
  esac
}
