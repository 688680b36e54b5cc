# Progress goes to stderr with the elapsed time; stdout is for results only.
# shellcheck shell=bash

START_MICROS=${EPOCHREALTIME/[.,]/}

say() {
  local tenths=$(((${EPOCHREALTIME/[.,]/} - START_MICROS) / 100000))
  printf '[images %4d.%ds] %s\n' $((tenths / 10)) $((tenths % 10)) "$*" >&2
}

die() { say "error: $*"; exit 1; }

bad_usage() { echo "images: $* (see: build --help)" >&2; exit 2; }
