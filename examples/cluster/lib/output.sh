# What a person sees. Progress goes to stderr with the elapsed time; stdout is for results only.
# shellcheck shell=bash

START_MICROS=${EPOCHREALTIME/[.,]/}

say() {
  local tenths=$(((${EPOCHREALTIME/[.,]/} - START_MICROS) / 100000))
  printf '[cluster %3d.%ds] %s\n' $((tenths / 10)) $((tenths % 10)) "$*" >&2
}

die() { say "error: $*"; exit 1; }

bad_usage() { echo "cluster: $* (see: cluster help)" >&2; exit 2; }

# PART REASON: what went wrong, the end of that part's log, and what to do about it.
die_part() {
  local log=$STATE/log/$1.log
  say "error: $1: $2"
  if [ -s "$log" ]; then
    say "last lines of $log:"
    tail -n 15 "$log" | cut -c1-400 | sed 's/^/    /' >&2
  fi
  say "\"cluster up\" tries again and keeps what runs; \"cluster down\" removes everything for a fresh start"
  exit 1
}
