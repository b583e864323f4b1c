#!/usr/bin/env bash
# Does the working tree run slower than a revision? Builds petnet-bench of both and runs `petnet-bench gate`.
#
# usage: bench/gate.sh REVISION [GATE OPTION...]        (petnet-bench gate --help: --filter, --pairs, --full, ...)
# The revision is built in a git worktree of its own, build/gate/COMMIT, which is kept: the next call finds it built.
# Status 0, or 1 where a case is slower or vanished or a program is broken; 2 for wrong usage, 4 where one does not build.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
fail() {
  echo "gate.sh: $2" >&2
  exit "$1"
}
case ${1:-} in
  -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" && exit 0 ;;
  '' | -*) fail 2 "which revision is the base? (--help)" ;;
esac
revision=$1
shift
commit=$(git -C "$root" rev-parse --verify --quiet "$revision^{commit}") || fail 2 "no revision $revision here"
tree=$root/build/gate/${commit:0:12}

# build SOURCES: its petnet-bench, in build/release. What is configured already stays as it is.
build() {
  local log=$root/build/gate/build.log
  echo "building petnet-bench of $1 ..." >&2
  {
    { [[ -f $1/build/release/build.ninja ]] || cmake -S "$1" --preset release -DPETNET_TESTS=OFF; } &&
      cmake --build "$1/build/release" --target petnet-bench --parallel
  } >"$log" 2>&1 </dev/null || { tail -n 20 "$log" >&2 && fail 4 "$1 does not build (all of it in $log)"; }
}

mkdir -p "$root/build/gate"
git -C "$root" worktree prune
[[ -d $tree ]] || git -C "$root" worktree add --quiet --detach "$tree" "$commit"
build "$tree"
build "$root"
exec "$root/build/release/bench/petnet-bench" gate "$tree/build/release" "$root/build/release" "$@"
