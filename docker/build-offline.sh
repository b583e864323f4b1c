#!/usr/bin/env bash
# Builds docker/Dockerfile where there is neither a docker daemon nor a registry, only the Debian packages that the
# machine's apt sources name, and tries the image out (docker/smoke-test). On a machine with docker: docker build.
#
# usage: build-offline.sh [cpu]                builds, tests, prints times and size
#        build-offline.sh cuda [TOOLKIT]       the same with the machine's CUDA toolkit (/usr/local/cuda), cuDNN in it
#        build-offline.sh env                  what to `eval` for plain `podman run ...` with these images
#        build-offline.sh clean                removes the images and the folder they are in
# OFFLINE_WORK names that folder (2 GB; ~/.cache/petnet-image). OFFLINE_INSTALL=1 lets root install what is missing.
# PODMAN_BUILD_OPTIONS: words for `podman build`, as --build-arg=EXTRA_PACKAGES=python3.
# Exit code 77: this machine cannot.
# shellcheck disable=SC2016  # $(...) and $1 are for apt and mmdebstrap
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=${OFFLINE_WORK:-${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/petnet-image}
suite=bookworm
base=localhost/debian:$suite

say() { printf '[image] %s\n' "$*" >&2; }
skip() {
  say "skipped: $*"
  exit 77
}

need_tools() {
  local tool missing=()
  for tool in podman runc mmdebstrap; do command -v "$tool" >/dev/null || missing+=("$tool"); done
  ((${#missing[@]})) || return 0
  [[ ${OFFLINE_INSTALL:-} == 1 && $EUID == 0 ]] || skip "missing: ${missing[*]} (OFFLINE_INSTALL=1 lets root install them)"
  { apt-get update -qq && apt-get install -qq --no-install-recommends "${missing[@]}" >/dev/null; } ||
    skip "cannot install ${missing[*]}"
}

# Overlays work only where the folder's file system carries them; else each layer is a copy.
storage_driver() {
  local place driver=vfs
  place=$(mktemp -d "$work/probe.XXXXXX")
  mkdir "$place"/{lower,upper,work,merged}
  if mount -t overlay overlay -o "lowerdir=$place/lower,upperdir=$place/upper,workdir=$place/work" "$place/merged" 2>/dev/null; then
    umount "$place/merged"
    driver=overlay
  fi
  rm -r "$place"
  echo "$driver"
}

# No more than 4096 and than this user may have: podman asks for more than the limit, which only a privileged user gets.
limit() {
  local most
  most=$(ulimit -H "$1")
  [[ $most != unlimited ]] && ((most < 4096)) || most=4096
  echo "$most:$most"
}

# Settings in two files of our own: podman's commands are those of docker then, and /etc/containers stays as it is.
configure() {
  mkdir -p "$work"
  if [[ ! -s $work/storage.conf ]]; then
    # runc: Debian's crun refuses hybrid control groups. cgroupfs, file: no systemd. host: no bridge, no iptables.
    cat >"$work/containers.conf" <<END
[containers]
netns = "host"
default_ulimits = ["nofile=$(limit -n)", "nproc=$(limit -u)"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
END
    cat >"$work/storage.conf" <<END
[storage]
driver = "$(storage_driver)"
graphroot = "$work/storage"
runroot = "$work/run"
END
  fi
  export CONTAINERS_CONF=$work/containers.conf CONTAINERS_STORAGE_CONF=$work/storage.conf
  export BUILDAH_ISOLATION=chroot # no OCI runtime or control groups for RUN, and the network of this machine
  export BUILDAH_FORMAT=docker    # the other one ignores SHELL and HEALTHCHECK
}

debian_sources() {
  apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' |
    grep -E " $suite(-updates|-security)? " | sort -u
}

# A root file system of this machine's apt sources, in the place of the registry's debian:12: /usr merged from the start
# as there, since the package that merges later brings all of Perl. It keeps their settings,
# which are not for others: such an image is for trying out, not for publishing.
make_base() {
  ! podman image exists "$base" || return 0
  local tar=$work/debian.tar line options=()
  [[ -n $(debian_sources) ]] || apt-get update -qq || true
  [[ -n $(debian_sources) ]] || skip "this machine's apt sources do not name Debian $suite"
  while IFS= read -r line; do options+=("--aptopt=$line"); done < <(
    apt-config dump | grep -E '^Acquire::(https?::Proxy|Check-)' || true)
  if debian_sources | grep -q '^deb https:'; then
    options+=(--include=ca-certificates '--aptopt=Acquire::https::CaInfo "/etc/ssl/host-ca.crt"'
      '--setup-hook=mkdir -p "$1/etc/ssl" && cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/host-ca.crt"')
  fi
  say "making a Debian $suite from this machine's apt sources ..."
  debian_sources | mmdebstrap --quiet --variant=minbase --skip=output/dev \
    --include=usr-is-merged --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    "${options[@]}" "$suite" "$tar" - >"$work/mmdebstrap.log" || skip "mmdebstrap failed"
  podman import --quiet --change 'CMD ["bash"]' \
    --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' "$tar" "$base" >/dev/null
  rm "$tar"
}

# build TARGET IMAGE [OPTION...]
build() {
  local target=$1 image=$2 began=$SECONDS words=()
  shift 2
  read -ra words <<<"${PODMAN_BUILD_OPTIONS:-}"
  # Without --layers=false there is an image for each step; a copy of everything where overlays do not work.
  podman build --layers=false --target "$target" --tag "$image" --file "$root/docker/Dockerfile" \
    --build-arg "BASE_IMAGE=$base" --build-arg "RUNTIME_IMAGE=$base" \
    --build-arg "COMMIT=$(git -C "$root" describe --always --dirty 2>/dev/null || true)" "$@" "${words[@]}" "$root"
  podman image prune --force >/dev/null || true # what a container still uses stays
  say "built $image in $((SECONDS - began)) s"
}

command=${1:-cpu}
case $command in
  cpu | cuda)
    need_tools
    configure
    podman info >/dev/null 2>"$work/podman.log" || skip "podman cannot start: $(tail -n 1 "$work/podman.log")"
    make_base
    image=localhost/petnet:$command
    if [[ $command == cuda ]]; then
      toolkit=$(readlink -f "${2:-/usr/local/cuda}")
      [[ -x $toolkit/bin/nvcc ]] || skip "no CUDA toolkit in $toolkit"
      build cuda "$image" --volume "$toolkit:/usr/local/cuda:ro"
    else
      build cpu "$image"
    fi
    CONTAINER_ENGINE=podman "$root/docker/smoke-test" "$image" "$command"
    ;;
  env)
    configure
    for variable in CONTAINERS_CONF CONTAINERS_STORAGE_CONF; do printf 'export %s=%q\n' "$variable" "${!variable}"; done
    ;;
  clean)
    [[ -d $work ]] || exit 0
    configure
    podman rm --force --all >/dev/null 2>&1 || true
    podman rmi --force --all >/dev/null 2>&1 || true
    umount "$work/storage/overlay" 2>/dev/null || true # podman keeps it mounted
    if ((EUID == 0)); then rm -rf --one-file-system "$work"; else podman unshare rm -rf "$work"; fi
    ;;
  *)
    sed -n '2,/^# Exit/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
