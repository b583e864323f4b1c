#!/usr/bin/env bash
# The parts of gpu_session.sh, which reads this file. Each part runs in a shell of its own, writes its section of the
# report to standard output and returns 0 (passed), 1 (failed) or $not_run. Given, by gpu_session.sh:
#   programs, sample, peers    folders
#   work, out                  folders for scratch files and for results
#   device, missing, cores     where it runs; why the device is not there (else empty)
#   part_seconds, part_end     how long it may take, and when that is over in terms of SECONDS
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

# program NAME: its path, wherever the build or the bundle has it.
program() {
  local folder
  for folder in bin app bench tests/kernels tests/model tests/train lib; do
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
  python3 -c 'import torch; print("PyTorch", torch.__version__, "CUDA", torch.version.cuda, "cuDNN", torch.backends.cudnn.version())' 2>/dev/null ||
    echo 'PyTorch: not here'
  echo '```'
  measure_device || return 1
  [[ ! -s $out/device.json ]] || printf '\nDevice: %s\n' "$(cat "$out/device.json")"
  [[ ! -s $work/matrix.json ]] || printf '\nMatrix products of PyTorch, GFLOP/s: %s\n' "$(cat "$work/matrix.json")"
}

# What the GPU is and its peaks, once a session: device.json, and matrix.json where PyTorch is there.
measure_device() {
  [[ $device == cuda && -z $missing && ! -s $out/device.json ]] || return 0
  "$(program petnet-bench)" peaks --device cuda --dtype fp32,tf32,fp16,bf16 >"$out/device.json" || return 1
  python3 "$peers/train_step_gpu.py" --peaks >"$work/matrix.json" || : >"$work/matrix.json"
}

# run_shards PROGRAM FILTER SHARDS: its tests on several processes; their output is in $work/NAME.*.log.
run_shards() {
  local name shard
  name=$(basename "$1")
  for ((shard = 0; shard < $3; ++shard)); do
    GTEST_TOTAL_SHARDS=$3 GTEST_SHARD_INDEX=$shard "$1" --gtest_filter="$2" --gtest_brief=0 --gtest_color=no \
      >"$work/$name.$shard.log" 2>&1 || echo "[  ENDED   ] with status $?" >>"$work/$name.$shard.log" &
  done
}

part_tests() {
  local name failed=0 shards=$(((cores + 1) / 2)) passed_of failed_of skipped_of
  ((shards <= 8)) || shards=8
  run_shards "$(program kernels_test)" "*$device*:make_backend*:check_backend*" "$shards"
  run_shards "$(program model_test)" '*' 1
  run_shards "$(program train_test)" "*$device*" 3
  wait
  row program passed failed skipped
  echo '|---|---|---|---|'
  for name in kernels_test model_test train_test; do
    passed_of=$(cat "$work/$name".*.log | grep -c '^\[       OK \]')
    failed_of=$(cat "$work/$name".*.log | grep -cE '^\[  FAILED  \] .* \([0-9]+ ms\)$|^\[  ENDED   \] with status ([2-9]|1[0-9])')
    skipped_of=$(cat "$work/$name".*.log | grep -cE '^\[  SKIPPED \] .* \([0-9]+ ms\)$')
    row "$name" "$passed_of" "$failed_of" "$skipped_of"
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

part_sanitizer() {
  local sanitizer tests step name failed=0 ran=0 verdict
  [[ $device == cuda ]] || skip "not run: compute-sanitizer is for GPUs"
  sanitizer=$(find_sanitizer) || skip "not run: compute-sanitizer was not found (PATH, CUDA's folder, or pip install nvidia-cuda-sanitizer-api)"
  tests=$(program kernels_test)
  step=$(program train_step)
  local small='*conformance_test.*/cuda_f32:*conformance_test.*/cuda_f16' own
  own="$small-*convolution*" # no kernels of cuDNN
  # sanitize NAME TOOL COMMAND...
  sanitize() {
    local name=$1 tool=$2 began=$EPOCHREALTIME
    shift 2
    "$sanitizer" --tool "$tool" --error-exitcode 99 --launch-timeout 60 --report-api-errors no "$@" \
      >"$work/sanitizer.$name.log" 2>&1
    echo "ended with status $? after $(seconds_since "$began") s" >>"$work/sanitizer.$name.log"
  }
  sanitize memcheck memcheck "$tests" --gtest_filter="$own" &
  sanitize memcheck-convolutions memcheck "$tests" --gtest_filter='*conformance_test.convolution/cuda_f16' &
  sanitize memcheck-step memcheck "$step" --device cuda --batch 4 --size 64 --precision fp16 <<<'pipelined 4' &
  sanitize racecheck racecheck --kernel-name kernel_substring=petnet "$tests" --gtest_filter="$own" &
  sanitize racecheck-step racecheck --kernel-name kernel_substring=petnet "$step" --device cuda --batch 4 --size 64 --precision fp16 <<<'4' &
  sanitize initcheck initcheck "$tests" --gtest_filter="$own" &
  sanitize synccheck synccheck "$tests" --gtest_filter="$own" &
  wait
  row 'tool and work' verdict tests
  echo '|---|---|---|'
  for name in memcheck memcheck-convolutions memcheck-step racecheck racecheck-step initcheck synccheck; do
    local log=$work/sanitizer.$name.log
    verdict=$(grep -hE 'ERROR SUMMARY|RACECHECK SUMMARY|not supported|Error: ' "$log" | sed 's/^=* *//' | tail -n 1)
    row "$name" "${verdict:-no summary}, $(tail -n 1 "$log")" "$(grep -c '^\[       OK \]' "$log")"
    if grep -qE 'ended with status 0' "$log"; then
      ran=1
    elif ! grep -qi 'device not supported' "$log"; then
      failed=1
      ran=1
    fi
  done
  if ((failed)); then
    echo '```'
    grep -hE -A 8 '^=+ +(Invalid|Error|Race|Warning|Uninit|Barrier|Divergent)' "$work"/sanitizer.*.log | head -n 80
    echo '```'
  fi
  ((ran)) || skip "not run: compute-sanitizer does not support this device here"
  return $failed
}

# small_photographs FOLDER COUNT: so many of the sample, cats and dogs alike.
small_photographs() {
  mkdir -p "$1"
  find "$sample/images" -name '[A-Z]*.jpg' | sort | head -n $(($2 / 2)) | xargs cp -t "$1"
  find "$sample/images" -name '[a-z]*.jpg' | sort | head -n $(($2 / 2)) | xargs cp -t "$1"
}

part_check() {
  local precision failed=0 status
  small_photographs "$work/check" 12
  for precision in fp32 bf16 fp16; do
    [[ $device/$precision != cpu/fp16 ]] || continue
    { # Two steps of each phase and an evaluation; `reference` is plain loops on one thread.
      "$(program petnet)" train --device "check:$device,reference" --data "$work/check" --weights embedded --size 64 \
        --batch-size 4 --valid-pct 0.3 --precision "$precision" --output "$work/check-$precision" --resume never \
        >"$work/check.$precision.log" 2>&1
      echo "status $?" >>"$work/check.$precision.log"
    } &
  done
  wait
  row precision departures status
  echo '|---|---|---|'
  for precision in fp32 bf16 fp16; do
    [[ -f $work/check.$precision.log ]] || continue
    status=$(tail -n 1 "$work/check.$precision.log")
    row "$precision" "$(grep -c 'departs from' "$work/check.$precision.log")" "$status"
    [[ $status == 'status 0' ]] && ! grep -q 'departs from' "$work/check.$precision.log" || failed=1
  done
  if ((failed)); then
    echo '```'
    grep -hE 'departs from|petnet' "$work"/check.*.log | head -n 30
    echo '```'
  fi
  return $failed
}

# sample_training NAME PRECISION: sets `training`, the same each time but for its folder, $work/bits/NAME.
sample_training() {
  training=("$(program petnet)" train --device "$device" --data "$work/bits-data" --weights embedded --size 64
    --batch-size 4 --epochs 3 --seed 7 --precision "$2" --output "$work/bits/$1")
}
model_hash() { sha256sum "$work/bits/$1/model.safetensors" 2>/dev/null | cut -c 1-16; }

part_bits() {
  local precision name failed=0 stopped pid lines a b c interrupted training
  local photographs=240 stop_after=70
  if [[ $device == cpu ]]; then photographs=24 stop_after=6; fi
  small_photographs "$work/bits-data" $photographs
  row precision model 'a second run' 'stopped and resumed'
  echo '|---|---|---|---|'
  for precision in fp32 bf16 fp16; do
    [[ $device/$precision != cpu/fp16 ]] || continue
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
    a=$(model_hash "$precision-a") b=$(model_hash "$precision-b") c=$(model_hash "$precision-c")
    [[ -n $a && $a == "$b" && $a == "$c" && -z $interrupted ]] || failed=1
    [[ $a != "$b" ]] || b=''
    [[ $a != "$c" ]] || c=''
    row "$precision" "${a:-none}" "${b:+DIFFERENT: }${b:-the same}" "$interrupted${c:+DIFFERENT: }${c:-the same}"
  done
  return $failed
}

part_peers() {
  local status
  [[ $device == cuda ]] || skip "not run: the comparison on a processor is bench/peers/train_step.py"
  python3 "$peers/train_step_gpu.py" "$(program train_step)" --seconds $((part_seconds - 15)) --json "$out/peers.json" \
    2>"$work/peers.log"
  status=$?
  cat "$work/peers.log" >&2
  return $status
}

part_job() {
  local copies=24 rest=286 size=224 batch=64 k name failed=0 began seconds run epoch key columns # 24 * 296 + 286 = 7390
  if [[ $device == cpu ]]; then size=64 batch=8; fi
  if [[ $device == cpu ]]; then
    small_photographs "$work/pets" 32
  else
    mkdir -p "$work/pets/rest"
    for ((k = 0; k < copies; ++k)); do cp -r "$sample/images" "$work/pets/$k"; done
    find "$sample/images" -name '*.jpg' | sort | head -n $rest | xargs cp -t "$work/pets/rest"
  fi
  echo "$(find "$work/pets" -name '*.jpg' | wc -l) photographs: the sample under new names; they are smaller than the data set's own"
  echo "($(find "$work/pets" -name '*.jpg' -printf '%s\n' | awk '{ sum += $1 } END { printf "%.0f", sum / NR / 1000 }') kB each), so decoding takes less. Size $size, batch $batch, 1 frozen and 1 unfrozen epoch. Seconds, from process start."
  echo
  row run all 'to the first step' 'frozen epoch' 'of it validating' 'waiting for photographs' 'pixels uploaded, MB' 'unfrozen epoch' 'of it validating' 'waiting for photographs' 'pixels uploaded, MB' 'everything else'
  echo '|---|---|---|---|---|---|---|---|---|---|---|---|'
  # The first run times cuDNN's plans; every later one finds its choices.
  printf '[' >"$out/job.json"
  for name in 'with an empty cache' 'again' 'once more'; do
    run=$work/job-${name// /-}
    began=$EPOCHREALTIME
    PETNET_CACHE_DIR=$work/job-cache "$(program petnet)" train --device "$device" --data "$work/pets" --weights embedded \
      --size $size --batch-size $batch --epochs 1 --freeze-epochs 1 --output "$run" >"$run.log" 2>&1 || failed=1
    seconds=$(seconds_since "$began")
    if [[ ! -f $run/model.safetensors ]]; then
      failed=1
      tail -n 5 "$run.log"
      break
    fi
    grep '"train_loss"' "$run/metrics.jsonl" >"$run.epochs"
    head -n 1 "$run.epochs" >"$run.frozen"
    tail -n 1 "$run.epochs" >"$run.unfrozen"
    tr -d '\n ' <"$run/run.json" >"$run.json"
    # The columns of the table, in its order; what is left of the whole is loading weights and writing the model.
    mapfile -t columns < <(number to_first_step "$run.json" && for epoch in frozen unfrozen; do
      for key in seconds seconds_validating seconds_waited pixel_bytes; do number $key "$run.$epoch"; done
    done)
    mapfile -t columns < <(printf '%s\n' "$seconds" "${columns[@]}" | awk '
      { printf "%.2f\n", NR == 6 || NR == 10 ? $1 / 1e6 : $1; rest += NR == 1 ? $1 : NR == 2 || NR == 3 || NR == 7 ? -$1 : 0 }
      END { printf "%.2f\n", rest }')
    row "$name" "${columns[@]}"
    [[ $name == 'with an empty cache' ]] || printf ',' >>"$out/job.json"
    printf '\n{"run": "%s", "seconds": %s, "epochs": [%s], "record": %s}' "$name" "$seconds" \
      "$(paste -sd, "$run.epochs")" "$(cat "$run.json")" >>"$out/job.json"
  done
  printf '\n]\n' >>"$out/job.json"
  return $failed
}

part_idle() {
  local tracer phase batch trace failed=0 found=0
  [[ $device == cuda ]] || skip "not run: CUPTI records GPUs"
  tracer=$(program libkernel_trace.so) || skip "not run: built without CUPTI"
  for batch in 64 256; do
    for phase in unfrozen frozen evaluation; do
      trace=$work/trace.$phase.$batch
      CUDA_INJECTION64_PATH=$tracer PETNET_KERNEL_TRACE=$trace timeout 60 "$(program train_step)" --device cuda \
        --phase "$phase" --batch "$batch" --precision bf16 <<<$'pipelined 20\npipelined 100' >"$trace.log" 2>&1 || failed=1
      echo
      echo "### $phase, bf16, batch $batch"
      echo
      tail -n 2 "$trace.log" | head -n 1
      echo
      if [[ -s $trace ]]; then
        found=1
        head -n 30 "$trace"
      else
        echo 'nothing was recorded'
      fi
    done
  done
  ((found)) || skip "not run: CUPTI recorded nothing ($(head -n 1 "$work/trace.unfrozen.64.log"))"
  return $failed
}

part_profiles() {
  if [[ $device == cpu ]]; then profile bf16; else profile bf16 fp16; fi
}
part_profiles32() {
  if [[ $device == cpu ]]; then profile fp32; else profile tf32 fp32; fi
}

# profile PRECISION...
profile() {
  local batch precision status failed=0 count=0 separator='' key batches=(64 256) size=224
  if [[ $device == cpu ]]; then batches=(4) size=64; fi
  for precision in "$@"; do
    for batch in "${batches[@]}"; do
      key=$precision.$batch
      if ((part_end - SECONDS < 10)); then
        echo "$key: not run: no time was left"
        continue
      fi
      ((++count))
      echo '```'
      # Results are compared with the reference by the part `tests`.
      timeout $((part_end - SECONDS - 3)) "$(program petnet-bench)" --device "$device" --dtype "$precision" --batch "$batch" \
        --size $size --quick --no-verify --filter "/b$batch" --json "$work/profile.$key.json" 2>"$work/profile.$key.log"
      status=$?
      echo '```'
      if ((status == 124)); then
        echo "$key: not run: no time was left"
      elif ((status != 0)); then
        failed=1
        echo "$key: failed: $(tail -n 1 "$work/profile.$key.log")"
      fi
    done
  done
  {
    printf '[\n'
    for key in "$work"/profile.*.json; do
      [[ ! -s $key ]] || printf '%s%s\n' "$separator" "$(cat "$key")"
      separator=,
    done
    printf ']\n'
  } >"$out/profiles.json"
  # What cuDNN was chosen to do, problem by problem.
  if [[ -d $PETNET_CACHE_DIR/plans ]]; then cat "$PETNET_CACHE_DIR"/plans/* >"$out/plans.txt"; fi
  ((count > 0)) || skip "not run: no time was left"
  return $failed
}
