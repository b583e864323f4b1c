#!/usr/bin/env bash
# The parts of gpu_session.sh, which reads this file. Each part runs in a shell of its own, writes its section of the
# report to standard output and returns 0 (passed), 1 (failed) or $not_run. Given, by gpu_session.sh:
#   programs, sample, peers    folders
#   work, out                  folders for scratch files and for results
#   device, missing, cores     where it runs; why the device is not there (else empty)
#   part                       its name
#   part_seconds, part_end     how long it may take, and when that is over in terms of SECONDS
# Time limits inside a part are `timeout --foreground`, which makes no process group: all that a part has started can then be
# ended with it.
# shellcheck disable=SC2154 # those
not_run=77 # the reason is the last line that the part printed

skip() {
  echo "$1"
  exit $not_run
}

# row CELL...: of a Markdown table.
row() {
  printf '|'
  printf ' %s |' "$@"
  printf '\n'
}

# left [SECONDS]: how long a part may still take, less those that it needs afterwards; 1 where that is over.
left() {
  local seconds=$((part_end - SECONDS - ${1:-0}))
  echo $((seconds > 1 ? seconds : 1))
}

# within RESERVE COMMAND...: ends it when what is left of the part, less so many seconds, is over. Status 124, or 137 where it
# did not heed that.
within() { timeout --foreground --kill-after 2 "$(left "$1")" "${@:2}"; }
timed_out() { (($1 == 124 || $1 == 137)); }

# must_hold REQUIREMENT MEASURED CONDITION [YES NO]: a line of the report's first table. CONDITION is awk's, on x, the
# number that MEASURED begins with; YES and NO are words for goals.
must_hold() {
  local verdict='not measured'
  if [[ $device == cuda && -n $2 ]]; then
    verdict=$(awk -v measured="$2" "BEGIN { x = measured + 0; print ($3) ? \"${4:-holds}\" : \"${5:-missed}\" }")
  fi
  row "$1" "$verdict" "${2:--}" >>"$work/$part.holds"
}

# program NAME: its path, wherever the build or the bundle has it.
program() {
  local folder
  for folder in bin app bench tests/kernels tests/kernels/cuda tests/model tests/train lib; do
    if [[ -e $programs/$folder/$1 ]]; then
      echo "$programs/$folder/$1"
      return
    fi
  done
  say "gpu_session: $1 is not in $programs"
  return 1
}

# number KEY FILE: the value of "KEY": 1.5 in a line of JSON.
number() {
  local found
  found=$(sed -nE "s/.*\"$1\": ?([0-9.eE+-]+).*/\1/p" "$2" 2>/dev/null)
  printf '%s\n' "${found%%$'\n'*}"
}

# step_milliseconds FILE: a step's, of each answer of train_step to "pipelined N".
step_milliseconds() {
  sed -nE 's/.*"steps": ([0-9]+), "seconds": ([0-9.]+).*/\1 \2/p' "$1" | awk '{ printf "%.3f\n", 1000 * $2 / $1 }'
}

seconds_since() { awk -v began="$1" -v now="$EPOCHREALTIME" 'BEGIN { printf "%.2f", now - began }'; }

part_environment() {
  echo '```'
  date -u '+%Y-%m-%d %H:%M UTC'
  "$(program petnet)" doctor
  grep -m 1 'model name' /proc/cpuinfo
  echo "$(nproc) processors"
  if command -v nvidia-smi >/dev/null; then
    nvidia-smi --query-gpu=name,driver_version,vbios_version,memory.total,memory.used,clocks.sm,clocks.max.sm,clocks.mem,power.limit,temperature.gpu,ecc.mode.current,mig.mode.current --format=csv
  fi
  nvcc --version 2>/dev/null | tail -n 2
  echo '```'
  [[ $device == cuda && -z $missing ]] || return 0
  "$(program petnet-bench)" peaks --device cuda --dtype fp32,tf32,fp16,bf16 >"$out/device.json" || return 1
  printf '\nDevice: %s\n' "$(cat "$out/device.json")"
  # One call for versions and matrix products, as importing PyTorch from a cold disk takes long.
  python3 "$peers/train_step_gpu.py" --peaks >"$work/matrix.json" 2>"$work/matrix.log"
  printf '\nPyTorch, GFLOP/s of matrix products: %s\n' "$(cat "$work/matrix.json" "$work/matrix.log" | tail -n 1)"
}

# run_shards PROGRAM FILTER SHARDS: its tests on several processes; their output is in $work/NAME.*.log.
run_shards() {
  local name shard
  name=$(basename "$1")
  for ((shard = 0; shard < $3; ++shard)); do
    GTEST_TOTAL_SHARDS=$3 GTEST_SHARD_INDEX=$shard within 8 "$1" --gtest_filter="$2" --gtest_brief=0 --gtest_color=no \
      >"$work/$name.$shard.log" 2>&1 || echo "[  ENDED   ] with status $?" >>"$work/$name.$shard.log" &
  done
}

part_tests() {
  local name failed=0 stopped=0 shards=$(((cores + 1) / 2)) passed_of failed_of skipped_of stopped_of
  local programs_of_tests=(kernels_test model_test train_test)
  ((shards <= 8)) || shards=8
  run_shards "$(program kernels_test)" "*$device*:make_backend*:check_backend*" "$shards"
  run_shards "$(program model_test)" '*' 1
  run_shards "$(program train_test)" "*$device*" 3
  if [[ $device == cuda ]]; then
    programs_of_tests+=(cudnn_graph_cuda_test)
    run_shards "$(program cudnn_graph_cuda_test)" '*' 1
  fi
  wait
  row program passed failed skipped 'processes that time stopped'
  echo '|---|---|---|---|---|'
  for name in "${programs_of_tests[@]}"; do
    passed_of=$(cat "$work/$name".*.log | grep -c '^\[       OK \]')
    stopped_of=$(cat "$work/$name".*.log | grep -cE '^\[  ENDED   \] with status (124|137)$')
    # 1 is that of a test that failed, which has a line of its own.
    failed_of=$(cat "$work/$name".*.log | grep -vE 'with status (124|137)$' |
      grep -cE '^\[  FAILED  \] .* \([0-9]+ ms\)$|^\[  ENDED   \] with status ([2-9]|1[0-9])')
    skipped_of=$(cat "$work/$name".*.log | grep -cE '^\[  SKIPPED \] .* \([0-9]+ ms\)$')
    row "$name" "$passed_of" "$failed_of" "$skipped_of" "$stopped_of"
    ((stopped += stopped_of))
    # A program that could not start has passed nothing.
    ((failed_of == 0 && passed_of > 0)) || failed=1
  done
  echo
  grep -hE '^largest relative departures' "$work"/train_test.*.log | sed 's/^/- /'
  if ((failed)); then
    echo '```'
    grep -hE '^\[  FAILED  \]|^\[  ENDED' "$work"/*_test.*.log | sort -u | head -n 40
    grep -hE -A 6 'Failure$|^unknown file' "$work"/*_test.*.log | head -n 80
    echo '```'
  fi
  ((failed || stopped == 0)) || skip "not run to the end: no time was left for $stopped processes"
  return $failed
}

find_sanitizer() {
  local candidate
  for candidate in "$(command -v compute-sanitizer)" {"${CUDA_HOME:-}",/usr/local/cuda}/{bin,compute-sanitizer}/compute-sanitizer \
    "${site_packages:-/nowhere}"/nvidia/*/bin/compute-sanitizer; do
    if [[ -x $candidate ]]; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

# A line by which compute-sanitizer accuses.
finding='^=+ +(Invalid |(Error|Warning): Race|Race reported|Uninitialized|Barrier error|Potential )'

part_sanitizer() {
  local sanitizer tests step name log failed=0 ran=0 stopped=0 verdict errors api_errors
  [[ $device == cuda ]] || skip "not run: compute-sanitizer is for GPUs"
  sanitizer=$(find_sanitizer) || skip "not run: compute-sanitizer was not found (PATH, CUDA's folder, or pip install nvidia-cuda-sanitizer-api)"
  tests=$(program kernels_test)
  step=("$(program train_step)" --device cuda --batch 4 --size 64 --precision fp16)
  local small='*conformance_test.*/cuda_f32:*conformance_test.*/cuda_f16' own
  local jobs=(memcheck memcheck-convolutions memcheck-step memcheck-fused racecheck racecheck-step initcheck synccheck)
  own="$small-*convolution*" # no kernels of cuDNN
  # sanitize NAME TOOL COMMAND...
  sanitize() {
    local name=$1 tool=$2 began=$EPOCHREALTIME
    shift 2
    within 8 "$sanitizer" --tool "$tool" --error-exitcode 99 --launch-timeout 60 "$@" \
      >"$work/sanitizer.$name.log" 2>&1
    echo "ended with status $? after $(seconds_since "$began") s" >>"$work/sanitizer.$name.log"
  }
  local no_api=(--report-api-errors no) racecheck=(racecheck --report-api-errors no --kernel-name kernel_substring=petnet)
  sanitize memcheck memcheck "${no_api[@]}" "$tests" --gtest_filter="$own" &
  sanitize memcheck-convolutions memcheck "${no_api[@]}" "$tests" --gtest_filter='*conformance_test.convolution/cuda_f16' &
  # A cache folder that cannot be made: no plans are timed, which would take most of the time. Pairs of operations are fused
  # in a step of its own, as trying their plans may take long, too.
  PETNET_CACHE_DIR=/dev/null/none sanitize memcheck-step memcheck --report-api-errors explicit "${step[@]}" <<<'pipelined 4' &
  PETNET_CACHE_DIR=/dev/null/none sanitize memcheck-fused memcheck "${no_api[@]}" "${step[@]}" --fuse always <<<'pipelined 4' &
  sanitize racecheck "${racecheck[@]}" "$tests" --gtest_filter="$own" &
  PETNET_CACHE_DIR=/dev/null/none sanitize racecheck-step "${racecheck[@]}" "${step[@]}" --fuse always <<<'4' &
  sanitize initcheck initcheck "${no_api[@]}" "$tests" --gtest_filter="$own" &
  sanitize synccheck synccheck "${no_api[@]}" "$tests" --gtest_filter="$own" &
  wait
  row 'tool and work' verdict 'errors of the API' tests
  echo '|---|---|---|---|'
  for name in "${jobs[@]}"; do
    log=$work/sanitizer.$name.log
    verdict=$(grep -hE 'ERROR SUMMARY|RACECHECK SUMMARY|not supported|Error: ' "$log" | sed 's/^=* *//' | tail -n 1)
    errors=$(sed -nE 's/.*ERROR SUMMARY: ([0-9]+) error.*/\1/p' "$log" | tail -n 1)
    api_errors=$(grep -c '^=* *Program hit ' "$log")
    row "$name" "${verdict:-no summary}, $(tail -n 1 "$log")" "$api_errors" "$(grep -c '^\[       OK \]' "$log")"
    if grep -qE "$finding" "$log"; then
      failed=1
    elif grep -qE 'ended with status (124|137) ' "$log"; then
      ((++stopped))
    elif grep -qi 'device not supported' "$log"; then
      continue
    # Libraries ask the driver for what it may not have: calls that fail are shown, not judged.
    elif ! grep -q 'ended with status 0' "$log" && ! ((${errors:-0} > 0 && errors == api_errors)); then
      failed=1
    fi
    ran=1
  done
  if grep -qh '^=* *Program hit ' "$work"/sanitizer.*.log; then
    echo
    grep -h '^=* *Program hit ' "$work"/sanitizer.*.log | sed 's/^=* */- /' | sort | uniq -c | sort -rn | head -n 10 |
      sed -E 's/^ *([0-9]+) (.*)/\2: \1 times/'
  fi
  if ((failed)); then
    echo '```'
    grep -hE -A 8 "$finding" "$work"/sanitizer.*.log | head -n 80 | grep . || tail -n 4 "$work"/sanitizer.*.log
    echo '```'
  fi
  ((ran)) || skip "not run: compute-sanitizer does not support this device here"
  ((failed || stopped == 0)) || skip "not run to the end: no time was left for $stopped of ${#jobs[@]}"
  return $failed
}
# small_photographs FOLDER COUNT: so many of the sample, cats and dogs alike.
small_photographs() {
  mkdir -p "$1"
  find "$sample/images" -name '[A-Z]*.jpg' | sort | head -n $(($2 / 2)) | xargs cp -t "$1"
  find "$sample/images" -name '[a-z]*.jpg' | sort | head -n $(($2 / 2)) | xargs cp -t "$1"
}

part_check() {
  local precision log failed=0 stopped=0 status departures overflowed clean
  small_photographs "$work/check" 12
  for precision in fp32 bf16 fp16; do
    [[ $device/$precision != cpu/fp16 ]] || continue
    # Two steps of each epoch, and an evaluation; `reference` is plain loops on one thread. A loss scale of 65536, at which
    # fp16 begins, may overflow, and in what way is not defined: fourteen steps can halve it that often.
    local training=(--size 64 --freeze-epochs 1 --epochs 1)
    [[ $precision != fp16 ]] || training=(--size 32 --freeze-epochs 1 --epochs 6)
    {
      within 8 "$(program petnet)" train --device "check:$device,reference" --data "$work/check" --weights embedded \
        --batch-size 4 --valid-pct 0.3 --precision "$precision" "${training[@]}" --output "$work/check-$precision" \
        --resume never >"$work/check.$precision.log" 2>&1
      echo "status $?" >>"$work/check.$precision.log"
    } &
  done
  wait
  row precision departures overflows 'epochs without' status
  echo '|---|---|---|---|---|'
  for precision in fp32 bf16 fp16; do
    log=$work/check.$precision.log
    [[ -f $log ]] || continue
    status=$(tail -n 1 "$log")
    # A line names the largest difference: where one of both is infinite or no number, that.
    overflowed='^$'
    [[ $precision != fp16 ]] || overflowed='[(](-?inf|-?nan)|not (-?inf|-?nan)'
    departures=$(grep 'departs from' "$log" | grep -cvE "$overflowed")
    # The table that `train` prints has a line for each epoch, after what the epoch reported.
    clean=$(awk -v overflowed="$overflowed" '/departs from/ && $0 ~ overflowed { ++found }
      /^[0-9]+ +[0-9.]+ / { if (!found) ++clean; found = 0 } END { print clean + 0 }' "$log")
    row "$precision" "$departures" "$(grep 'departs from' "$log" | grep -cE "$overflowed")" "$clean" "$status"
    if ((departures == 0)) && timed_out "${status#status }"; then
      ((++stopped))
    elif ((departures > 0 || clean == 0)) || [[ $status != 'status 0' ]]; then
      failed=1
    fi
  done
  if ((failed)); then
    echo '```'
    grep -hE 'departs from|petnet' "$work"/check.*.log | head -n 30
    echo '```'
  fi
  ((failed || stopped == 0)) || skip "not run to the end: no time was left for $stopped precisions"
  return $failed
}

# sample_training NAME PRECISION: sets `training`, the same each time but for its folder, $work/bits/NAME. (Not by `within`: a
# function in the background is a shell, which would not pass on a signal, and two seconds may not do for a checkpoint.)
sample_training() {
  training=(timeout --foreground "$(left 8)" "$(program petnet)" train --device "$device" --data "$work/bits-data" --weights embedded --size 64
    --batch-size 4 --epochs 3 --seed 7 --precision "$2" --output "$work/bits/$1")
}
model_hash() { sha256sum "$work/bits/$1/model.safetensors" 2>/dev/null | cut -c 1-16; }

# bits_of PRECISION STEPS: trains twice, then once more, interrupted after so many steps; a row of the table.
bits_of() {
  local precision=$1 stop_after=$2 failed=0 name stopped pid lines a b c interrupted training
  for name in "$precision-a" "$precision-b"; do
    sample_training "$name" "$precision"
    "${training[@]}" >"$work/bits.$name.log" 2>&1 || failed=1
  done
  name=$precision-c
  sample_training "$name" "$precision"
  "${training[@]}" >"$work/bits.$name.log" 2>&1 &
  pid=$!
  while kill -0 $pid 2>/dev/null; do
    lines=$(wc -l 2>/dev/null <"$work/bits/$name/metrics.jsonl" || echo 0)
    ((lines < stop_after)) || break
    sleep 0.01
  done
  kill -TERM $pid 2>/dev/null
  wait $pid
  stopped=$?
  interrupted='' # as a run that ended too soon shows nothing
  if ((stopped == 143)); then
    "${training[@]}" --resume auto >>"$work/bits.$name.log" 2>&1 || failed=1
  else
    interrupted="not interrupted (status $stopped), "
  fi
  if (($(left 8) == 1)); then
    row "$precision" 'no time was left'
    return $not_run
  fi
  a=$(model_hash "$precision-a") b=$(model_hash "$precision-b") c=$(model_hash "$precision-c")
  [[ -n $a && $a == "$b" && $a == "$c" && -z $interrupted ]] || failed=1
  [[ $a != "$b" ]] || b=''
  [[ $a != "$c" ]] || c=''
  row "$precision" "${a:-none}" "${b:+DIFFERENT: }${b:-the same}" "$interrupted${c:+DIFFERENT: }${c:-the same}"
  return $failed
}

part_bits() {
  local precision failed=0 stopped=0 photographs=240 stop_after=70
  local -A pids
  if [[ $device == cpu ]]; then photographs=24 stop_after=6; fi
  small_photographs "$work/bits-data" $photographs
  row precision model 'a second run' 'stopped and resumed'
  echo '|---|---|---|---|'
  for precision in fp32 bf16 fp16; do
    [[ $device/$precision != cpu/fp16 ]] || continue
    bits_of $precision $stop_after >"$work/bits.$precision.row" &
    pids[$precision]=$!
  done
  for precision in "${!pids[@]}"; do
    wait "${pids[$precision]}"
    case $? in
      0) ;;
      "$not_run") ((++stopped)) ;;
      *) failed=1 ;;
    esac
  done
  cat "$work"/bits.*.row
  ((failed || stopped == 0)) || skip "not run to the end: no time was left for $stopped precisions"
  return $failed
}
