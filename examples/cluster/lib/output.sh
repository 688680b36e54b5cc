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
  local log lines
  say "error: $1: $2"
  for log in "$STATE/log/$1.log" "$STATE/log/$1"-*.log; do      # a node has three
    lines=$(grep -av -e '^I[0-9]' -e level=info "$log" 2>/dev/null | tail -n 12 | cut -c1-400) || true
    [ -n "$lines" ] || continue
    say "last lines of $log, without what is only informative:"
    sed 's/^/    /' <<<"$lines" >&2
  done
  say "\"cluster up\" tries again and keeps what runs; \"cluster down\" removes everything for a fresh start"
  exit 1
}
