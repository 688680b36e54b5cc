# Processes that outlive this script. Each leaves "PID START" in pid/NAME of the state folder, START being the kernel's
# start time of the process: a pid that was given to another process since is never mistaken for ours.
# Used by ../../local/kruise too.
# shellcheck shell=bash

LOGS=${LOGS:-$STATE/log}       # folder of NAME.log
MARK=${MARK:-$STATE/}          # what the command line of each process has in it

# One command at a time works on a state folder. The lock is on the folder itself, so that `down`
# leaves no lock file; a waiter therefore has to look whether the folder is still the one it locked.
lock_state() {
  check_state_folder
  while :; do
    mkdir -p "$STATE"/{pid,log,nodes}
    { exec {LOCK}<"$STATE"; } 2>/dev/null || continue
    flock -n "$LOCK" || { say "waiting for another command on $STATE"; flock "$LOCK"; }
    [ "/proc/self/fd/$LOCK" -ef "$STATE" ] && [ -d "$STATE/pid" ] && break
    exec {LOCK}<&-
  done
  echo "$BASE" >"$STATE/port-base"
}

check_state_folder() {
  case $STATE/ in
    /run/* | /var/lib/* | /var/log/* | /proc/* | /sys/*)
      die "CLUSTER_STATE=$STATE: nodes have a private /run, /var/lib and /var/log; choose another place" ;;
  esac
  local longest=$STATE/nodes/127.0.255.255/run/containerd.sock
  ((${#longest} <= 107)) || die "CLUSTER_STATE=$STATE is too long: unix socket paths end at 107 bytes"
  [ -e "$STATE" ] || return 0
  [ -d "$STATE" ] && [ -O "$STATE" ] || die "CLUSTER_STATE=$STATE is not a folder of yours"
  [ -d "$STATE/pid" ] || [ -z "$(ls -A "$STATE")" ] || die "CLUSTER_STATE=$STATE is a folder with other things in it"
  check_port_base
}

# Commands with the wrong port base would take one cluster's state for another's.
check_port_base() {
  local base
  base=$(cat "$STATE/port-base" 2>/dev/null) || return 0
  [ "$base" = "$BASE" ] || die "the cluster in $STATE has port base $base, not $BASE; set CLUSTER_PORT_BASE=$base"
}

# PID: its start time, or failure if there is no such process (a zombie is none).
start_time() {
  local stat fields
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
  read -ra fields <<<"${stat##*) }"      # the name in parentheses may have spaces; count from behind it
  [ "${fields[0]}" != Z ] && echo "${fields[19]}"
}

# NAME: prints the pid if the recorded process lives and is ours. A boot can hand out the same pid at the same
# time as the boot before, so the arguments are looked at too. While the kernel replaces one program by the next
# there are none; with a cold disk that takes a second.
pid_of() {
  local pid start arguments
  [ -e "$STATE/pid/$1" ] && read -r pid start <"$STATE/pid/$1" || return 1
  [ "$(start_time "$pid")" = "$start" ] || return 1
  { arguments=$(tr '\0' ' ' <"/proc/$pid/cmdline"); } 2>/dev/null || return 1
  case $arguments in '' | *"$MARK"*) echo "$pid" ;; *) return 1 ;; esac
}

is_up() { pid_of "$1" >/dev/null; }

# NAME: lives, and is not paused.
is_running() {
  local pid
  pid=$(pid_of "$1") && [ "$(process_state "$pid")" = up ]
}

process_state() { # PID
  if grep -q '^State:[[:space:]]T' "/proc/$1/status" 2>/dev/null; then echo paused; else echo up; fi
}

# NAME COMMAND...: detached from the terminal, out of reach of Ctrl-C. The child itself writes its pid,
# before it becomes COMMAND, so that no interruption can leave an unrecorded process.
spawn() {
  local name=$1 child
  shift
  rm -f "$STATE/pid/$name"
  (
    [ -z "${LOCK:-}" ] || exec {LOCK}<&-
    cd /
    self=$BASHPID     # inside $(...) it would be the pid of that subshell
    echo "$self $(start_time "$self")" >"$STATE/pid/$name.new"
    mv "$STATE/pid/$name.new" "$STATE/pid/$name"
    exec setsid "$@" >>"$LOGS/$name.log" 2>&1 </dev/null
  ) &
  child=$!
  # Until the child has become COMMAND, or has ended.
  until is_up "$name" || [ -z "$(start_time "$child")" ]; do sleep 0.01; done
}

# NAME SIGNAL SECONDS: signals the process and waits for its end. Fails if it still lives then.
end_process() {
  local pid tries
  pid=$(pid_of "$1") || return 0
  kill -CONT "$pid" 2>/dev/null || true     # a paused process cannot act on TERM
  kill -"$2" "$pid" 2>/dev/null || true
  for ((tries = $3 * 20; tries > 0; tries--)); do
    is_up "$1" || return 0
    sleep 0.05
  done
  return 1
}

# NAME [FIRST_SIGNAL]: ends the process, by force after three seconds.
stop_process() {
  end_process "$1" "${2:-TERM}" 3 || end_process "$1" KILL 3 || die "process $(pid_of "$1") ($1) does not end"
  rm -f "$STATE/pid/$1"
}

# PART SECONDS COMMAND...: until COMMAND succeeds; gives up when the part ends or time is over.
wait_part() {
  local part=$1 end=$((SECONDS + $2)) seconds=$2
  shift 2
  until ("$@") >/dev/null 2>&1; do     # a subshell, or a Ctrl-C inside would lose its message
    is_up "$part" || die_part "$part" "ended"
    ((SECONDS < end)) || die_part "$part" "not ready after $seconds s"
    sleep 0.05
  done
}
