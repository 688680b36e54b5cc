# Debian packages: nothing is taken from anywhere else.
# shellcheck shell=bash

RUN_PACKAGES=(etcd-server containerd runc docker-registry containernetworking-plugins apache2-utils
  openssl curl iproute2 socat util-linux procps ca-certificates)
# The compiler, and the one library whose vendored copy is too old for it (see build.sh).
BUILD_PACKAGES=(golang-1.19-go golang-github-modern-go-reflect2-dev dpkg-dev)

need_root() {
  [ "$(id -u)" != 0 ] || return 0
  need_packages      # the more useful message, if something is missing
  die "nodes need root: mount and pid namespaces, bridges, cgroups"
}

# Packages and binaries, for one cluster at a time.
need_software() {
  binaries_cached && [ -z "$(missing_packages "${RUN_PACKAGES[@]}")" ] && return
  mkdir -p "$CACHE"
  exec {CACHE_LOCK}<"$CACHE"
  flock -n "$CACHE_LOCK" || { say "waiting for another \"cluster up\" that fills $CACHE"; flock "$CACHE_LOCK"; }
  need_packages
  need_binaries
  exec {CACHE_LOCK}<&-
}

missing_packages() { # PACKAGE...
  local installed package
  # it fails when one is unknown, which is an answer, not an error
  installed=$({ dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "$@" 2>/dev/null || true; } | sed -n 's/^ii *//p')
  for package; do grep -qx "$package" <<<"$installed" || echo "$package"; done
}

need_packages() {
  command -v dpkg-query >/dev/null || die "this needs Debian 12 (or a relative of it): dpkg-query is missing"
  local wanted=("${RUN_PACKAGES[@]}") missing
  binaries_cached || wanted+=("${BUILD_PACKAGES[@]}")
  mapfile -t missing < <(missing_packages "${wanted[@]}")
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || die "missing packages; as root: apt-get install --no-install-recommends ${missing[*]}"
  say "installing ${missing[*]}"
  mkdir -p "$CACHE"
  # Some of them bring daemons that must not be started. Debian's images for containers have a
  # policy-rc.d that says so; elsewhere RUNLEVEL=1 makes invoke-rc.d skip the start.
  apt-get update -qq >"$CACHE/apt.log" 2>&1 &&
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
      apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}" >>"$CACHE/apt.log" 2>&1 || {
    tail -n 15 "$CACHE/apt.log" | sed 's/^/    /' >&2
    die "apt-get failed (all of it: $CACHE/apt.log); check the network and /etc/apt, then run \"cluster up\" again"
  }
  say "packages installed"
}

# apt-get with a source list of its own, derived from this machine's binary one: /etc stays as it is.
apt_source() { # apt-get arguments...
  local private=$CACHE/apt
  mkdir -p "$private"/{parts,lists/partial}
  if [ -e /etc/apt/sources.list.d/debian.sources ]; then
    sed 's/^Types:.*/Types: deb-src/' /etc/apt/sources.list.d/debian.sources >"$private/parts/source.sources"
  else
    sed -n 's/^deb \(.*debian.*\)/deb-src \1/p' /etc/apt/sources.list >"$private/parts/source.list"
  fi
  apt-get -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$private/parts" \
    -o Dir::State::lists="$private/lists" -o APT::Get::List-Cleanup=0 -o APT::Sandbox::User=root "$@"
}

# NAME COMMAND...: a folder download/NAME of what COMMAND downloads into its working folder. It gets its name only when COMMAND
# has succeeded, so that an interrupted download begins again.
need_download() {
  local folder=$CACHE/download/$1
  shift
  [ ! -d "$folder" ] || return 0
  rm -rf "$folder.new"
  mkdir -p "$folder.new"
  (cd "$folder.new" && "$@") && mv "$folder.new" "$folder"
}

# PACKAGE: on a machine whose package lists were removed, as in most container images, they are fetched first.
download_package() {
  apt-get -q -o APT::Sandbox::User=root download "$1" >>"$CACHE/apt.log" 2>&1 ||
    { apt-get update -qq && apt-get -q -o APT::Sandbox::User=root download "$1"; } >>"$CACHE/apt.log" 2>&1
}

# PACKAGE PATH TARGET: one file out of a package that is not to be installed (it could clash with
# another kubectl or busybox on this machine).
file_from_package() {
  local deb
  need_download "$1" download_package "$1" || die "cannot download package $1 (see $CACHE/apt.log)"
  deb=$(compgen -G "$CACHE/download/$1/*.deb" | tail -n 1)
  dpkg-deb --fsys-tarfile "$deb" | tar -xO "$2" >"$3.new"
  chmod 755 "$3.new"
  mv "$3.new" "$3"
}
