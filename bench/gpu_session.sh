#!/usr/bin/env bash
# All that only a GPU can show, in one call and one report: tests, compute-sanitizer, the same bits again, times by
# operation, PyTorch beside it, a whole job.
#
# usage: bench/gpu_session.sh [OPTION...] [OUT_FOLDER]        (gpu-session)
#   --only PART,...      of environment tests sanitizer check bits compile job plans profiles idle peers choices profiles32;
#                        all. One alone may take all of the time
#   --programs FOLDER    a build folder, an unpacked bundle or a bundle's .tar.xz (bench/make_bundle.sh);
#                        the bundle that this script lies in, else build/release
#   --seconds N          for all of it, 575; what has no time left is not run
#   --device cpu         tries the script itself, at small sizes, where there is no GPU
# Writes OUT_FOLDER/report.md, whose first table says what must hold and whether it does, log.txt, plans.txt and four .json
# files; scratch files go to TMPDIR.
# Parts do not depend on each other, each has a time limit, and one that fails does not stop the others.
# Status 1 if a part failed or what must hold was missed, 2 for wrong usage; 0 else: where there is no GPU, every part that
# needs one says so and nothing has failed, and nothing was shown either. The last lines say which it was.
set -uo pipefail
export LC_ALL=C.UTF-8

self=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/$(basename "${BASH_SOURCE[0]}")
root=$(dirname "$(dirname "$self")")
all_parts=(environment tests sanitizer check bits compile job plans profiles idle peers choices profiles32)
# What each has to show; those that measure several things list them themselves (must_hold).
declare -A required=([tests]='all tests pass' [sanitizer]='compute-sanitizer finds nothing'
  [check]='check:cuda,reference reports no departure' [bits]='the same bits twice and after a resume'
  [job]='the whole job in under 10 s' [profiles]='goal: 60 % of the roofline' [idle]='GPU idle in the step: under 3 %'
  [peers]='petnet / torch.compile: at least 1.8 at batch 64, 1.5 at 256')

say() { printf '%s\n' "$*" >&2; }
fail_usage() {
  say "gpu_session: $1"
  exit 2
}

# shellcheck source=bench/gpu_session_parts.sh
source "$(dirname "$self")/gpu_session_parts.sh"
# shellcheck source=bench/gpu_session_speed.sh
source "$(dirname "$self")/gpu_session_speed.sh"
# shellcheck source=bench/gpu_session_choices.sh
source "$(dirname "$self")/gpu_session_choices.sh"

if [[ ${1:-} == --part ]]; then # from run_part, with its variables in the environment
  SECONDS=0
  part=$2 part_end=$part_seconds
  "part_$part"
  exit
fi

# --------------------------------------------------------------------------------------------------- session

only=() programs='' seconds=575 device=cuda out=''
while (($#)); do
  case $1 in
    --only) IFS=, read -ra only <<<"${2:?--only needs parts}" && shift 2 ;;
    --programs) programs=${2:?--programs needs a folder} && shift 2 ;;
    --seconds) seconds=${2:?--seconds needs a number} && shift 2 ;;
    --device) device=${2:?--device needs cuda or cpu} && shift 2 ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$self" && exit 0 ;;
    -*) fail_usage "unknown option $1 (--help)" ;;
    *) out=$1 && shift ;;
  esac
done
((${#only[@]})) || only=("${all_parts[@]}")
for part in "${only[@]}"; do
  [[ " ${all_parts[*]} " == *" $part "* ]] || fail_usage "no part is called $part: ${all_parts[*]}"
done
[[ $device == cuda || $device == cpu ]] || fail_usage "--device must be cuda or cpu"

out=${out:-gpu-session}
mkdir -p "$out" || fail_usage "cannot make the folder $out"
out=$(cd "$out" && pwd)
rm -f "$out"/{report.md,log.txt,plans.txt} "$out"/{device,peers,job,profiles}.json # of an earlier session
work=$(mktemp -d "${TMPDIR:-/tmp}/petnet-gpu.XXXXXX")
trap 'rm -rf "$work"' EXIT
began=$SECONDS
deadline=$((began + seconds))
cores=$(nproc)

if [[ -z $programs ]]; then
  programs=$root/build/release
  [[ ! -x $root/bin/petnet ]] || programs=$root
fi
if [[ -f $programs ]]; then
  mkdir "$work/bundle"
  # Where there is no xz, Python has its own.
  tar -C "$work/bundle" -xJf "$programs" 2>/dev/null ||
    python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' "$programs" "$work/bundle" ||
    fail_usage "$programs is no bundle"
  programs=$(echo "$work"/bundle/*)
fi
program petnet >/dev/null || fail_usage "build first (./dev test), or name a bundle by --programs"

# The data: a bundle's own, else the checkout's.
sample=$root/data/sample
[[ ! -d $programs/share/petnet/sample ]] || sample=$programs/share/petnet/sample
PETNET_GOLDEN_DIR=$root/tests/golden
[[ ! -d $programs/golden ]] || PETNET_GOLDEN_DIR=$programs/golden
PETNET_SAMPLE_DIR=$sample
PETNET_CACHE_DIR=$work/cache
PETNET_COMMIT=$("$(program petnet)" --version | sed -nE 's/.*\(commit (.*)\)$/\1/p') # of the programs, for peers.json
TORCHINDUCTOR_CACHE_DIR=$work/inductor # torch.compile's: the parts `compile` and `peers`
peers=$root/bench/peers
site_packages=$(python3 -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])' 2>/dev/null || true)
export PETNET_GOLDEN_DIR PETNET_SAMPLE_DIR PETNET_CACHE_DIR PETNET_COMMIT TORCHINDUCTOR_CACHE_DIR out work programs sample peers device cores site_packages

# cuDNN and CUPTI may be where the linker does not look: in the folders of PyTorch's packages, which come first so that
# petnet and PyTorch use the same ones, or in CUDA's.
for folder in "${site_packages:-/nowhere}"/nvidia/*/lib /usr/local/cuda/{lib64,extras/CUPTI/lib64}; do
  [[ ! -d $folder ]] || LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
done
export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-}

# What `petnet doctor` says of the device; empty if it is there.
doctor=$("$(program petnet)" doctor 2>&1)
status=$?
missing=$(sed -nE "s/^device $device +not available: //p" <<<"$doctor")
[[ -n $missing ]] || ((status == 0)) || missing="petnet doctor ends with status $status: $(tail -n 1 <<<"$doctor")"
export missing

# run_part NAME LIMIT: bounds it by LIMIT and by what is left of the session.
run_part() {
  local name=$1 limit=$2 left=$((deadline - SECONDS)) started=$SECONDS status reason group
  ((limit <= left && ${#only[@]} > 1)) || limit=$left
  if [[ -n $missing && $name != environment ]]; then
    status=$not_run
    echo "not run: $missing" >"$work/$name.md"
  elif ((limit < 10)); then
    status=$not_run
    echo "not run: no time was left" >"$work/$name.md"
  else
    export part_seconds=$limit
    timeout --kill-after 5 "$limit" bash "$self" --part "$name" >"$work/$name.md" 2>"$work/$name.err" &
    group=$!
    wait $group
    status=$?
    kill -KILL -- "-$group" 2>/dev/null # what it left running would disturb the next
  fi
  case $status in
    0) reason=passed ;;
    "$not_run") reason=$(tail -n 1 "$work/$name.md") ;;
    124 | 137) reason="FAILED: stopped after its $limit s" ;;
    *) reason="FAILED: status $status$(tail -n 1 "$work/$name.err" | cut -c 1-200 | sed 's/^/: /; s/|/\\|/g')" ;;
  esac
  if [[ $reason == passed ]] && grep -q '| missed |' "$work/$name.holds" 2>/dev/null; then
    reason="FAILED: misses what must hold"
  fi
  printf '%s\n%s\n' "$reason" $((SECONDS - started)) >"$work/$name.verdict"
  say "$(printf '%-12s %4d s  %s' "$name" $((SECONDS - started)) "$reason")"
}

# wanted NAME LIMIT...: those that were asked for, one after the other.
wanted() {
  while (($#)); do
    [[ " ${only[*]} " != *" $1 "* ]] || run_part "$1" "$2"
    shift 2
  done
}

wanted environment 90
# What must be right runs side by side where there are processors for it; what is timed runs alone.
right=(tests 170 sanitizer 170 check 170 bits 170 compile 170)
if ((cores >= 8)); then
  for ((i = 0; i < ${#right[@]}; i += 2)); do wanted "${right[@]:i:2}" & done
  wait
else
  wanted "${right[@]}"
fi
# What must hold comes first, and of that `peers` last: it adapts to the time that is left, and shows what it has.
wanted job 90 plans 90 profiles 110 idle 60 peers 240 choices 60 profiles32 60

# ---------------------------------------------------------------------------------------------------- report

passed=0 failed=0 left_out=0
{
  echo "# GPU session of $(date -u '+%Y-%m-%d %H:%M UTC'), $("$(program petnet)" --version)"
  echo
  if [[ -n $missing ]]; then
    echo "**Nothing was run on a GPU: $missing.**"
    echo
  elif [[ $device == cpu ]]; then
    echo "**A try of the script on a processor: nothing was run on a GPU.**"
    echo
  fi
  echo '## Must hold'
  echo
  row requirement verdict measured
  echo '|---|---|---|'
  for part in "${only[@]}"; do
    [[ -n ${required[$part]:-} ]] || continue
    if [[ -s $work/$part.holds ]]; then
      cat "$work/$part.holds"
      continue
    fi
    reason=$(head -n 1 "$work/$part.verdict")
    case $device/$reason in
      cuda/passed) verdict=holds reason=- ;;
      cuda/'FAILED: stopped'*) verdict='not measured' ;;
      cuda/FAILED*) verdict=missed ;;
      *) verdict='not measured' ;;
    esac
    row "${required[$part]}" "$verdict" "$reason"
  done
  echo
  row part result seconds
  echo '|---|---|---|'
  for part in "${only[@]}"; do
    mapfile -t verdict <"$work/$part.verdict"
    row "$part" "${verdict[0]}" "${verdict[1]}"
    case ${verdict[0]} in
      passed) ((++passed)) ;;
      FAILED*) ((++failed)) ;;
      *) ((++left_out)) ;;
    esac
  done
  echo
  echo "$passed passed, $failed failed, $left_out not run, $((SECONDS - began)) s in all."
  for part in "${only[@]}"; do
    echo
    echo "## $part"
    echo
    cat "$work/$part.md"
  done
} >"$work/report.md"
mv "$work/report.md" "$out/report.md"
for log in "$work"/*.err "$work"/*.log; do
  [[ ! -s $log ]] || { printf '\n==== %s\n' "$(basename "$log")" && tail -c 150000 "$log"; }
done >"$out/log.txt"

sed -n '/^## Must hold/,/ s in all\.$/p' "$out/report.md"
[[ -z $missing ]] || echo "Nothing was run on a GPU: $missing."
echo "The report is $out/report.md"
((failed == 0))
