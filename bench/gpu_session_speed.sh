#!/usr/bin/env bash
# The parts of gpu_session.sh that time petnet: beside PyTorch, the whole job, operation by operation, what the GPU idles.
# Read by gpu_session.sh, as gpu_session_parts.sh is, which says what is given.
# shellcheck disable=SC2154 # that

# need_python: skips a part where there is none.
need_python() { command -v python3 >/dev/null || skip "not run: python3 is not here, nor PyTorch"; }

# Fills the cache of torch.compile for `peers`.
part_compile() {
  [[ $device == cuda ]] || skip "not run: the comparison on a processor is bench/peers/train_step.py"
  need_python
  python3 "$peers/train_step_gpu.py" --seconds "$(left 10)"
}

part_peers() {
  [[ $device == cuda ]] || skip "not run: the comparison on a processor is bench/peers/train_step.py"
  need_python
  # Where time stops the part, Python ends by itself and this shell waits for it.
  trap : TERM
  python3 "$peers/train_step_gpu.py" "$(program train_step)" --seconds "$(left 20)" --json "$out/peers.json" \
    --must-hold "$work/peers.holds"
}

part_job() {
  local copies=24 rest=286 size=224 batch=64 k name failed=0 began seconds run epoch key columns longest=0 # 24 * 296 + 286 = 7390
  if [[ $device == cpu ]]; then
    size=32 batch=4
    small_photographs "$work/pets" 16
  else
    mkdir -p "$work/pets/rest"
    for ((k = 0; k < copies; ++k)); do cp -r "$sample/images" "$work/pets/$k"; done
    find "$sample/images" -name '*.jpg' | sort | head -n $rest | xargs cp -t "$work/pets/rest"
  fi
  echo "$(find "$work/pets" -name '*.jpg' | wc -l) photographs: the sample under new names; they are smaller than the data set's own"
  echo "($(find "$work/pets" -name '*.jpg' -printf '%s\n' | awk '{ sum += $1 } END { printf "%.0f", sum / NR / 1000 }') kB each), so decoding takes less. Size $size, batch $batch, 1 frozen and 1 unfrozen epoch. Seconds; the parts sum up to all."
  echo
  row run all 'opening photographs' device weights plans 'frozen epoch' 'of it validating' 'waiting for photographs' 'pixels uploaded, MB' 'unfrozen epoch' 'of it validating' 'waiting for photographs' 'pixels uploaded, MB' 'writing the model' 'everything else'
  echo '|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|'
  # The first run times cuDNN's plans; every later one finds its choices.
  for name in 'with an empty cache' again 'once more'; do
    if (($(left) < 15)); then
      [[ $name != 'with an empty cache' ]] || skip "not run: no time was left"
      echo "$name: not run: no time was left"
      break
    fi
    run=$work/job-${name// /-}
    began=$EPOCHREALTIME
    PETNET_CACHE_DIR=$work/job-cache within 5 "$(program petnet)" train --device "$device" --data "$work/pets" --weights embedded \
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
    # The columns of the table, in its order. An epoch includes its validation and its waiting.
    mapfile -t columns < <(
      for key in photographs_opened device weights plans; do number $key "$run.json"; done
      for epoch in frozen unfrozen; do
        for key in seconds seconds_validating seconds_waited pixel_bytes; do number $key "$run.$epoch"; done
      done
      number model "$run.json"
    )
    mapfile -t columns < <(printf '%s\n' "$seconds" "${columns[@]}" | awk '
      { printf "%.2f\n", NR == 9 || NR == 13 ? $1 / 1e6 : $1; rest += NR == 1 ? $1 : NR <= 6 || NR == 10 || NR == 14 ? -$1 : 0 }
      END { printf "%.2f\n", rest }')
    row "$name" "${columns[@]}"
    printf '{"run": "%s", "seconds": %s, "epochs": [%s], "record": %s}\n' "$name" "$seconds" \
      "$(paste -sd, "$run.epochs")" "$(cat "$run.json")" >>"$work/job.runs"
    printf '[\n%s\n]\n' "$(sed '$!s/$/,/' "$work/job.runs")" >"$out/job.json"
    if [[ $name == 'with an empty cache' ]]; then
      must_hold 'the whole job, with an empty cache: under 10 s' "$seconds" 'x < 10'
    else
      longest=$(printf '%s\n' "$longest" "$seconds" | sort -n | tail -n 1)
    fi
  done
  [[ $longest == 0 ]] || {
    must_hold 'the whole job, later runs: under 10 s' "$longest" 'x < 10'
    must_hold 'the whole job, later runs: the goal of 5 s' "$longest" 'x < 5' reached 'not reached'
  }
  echo
  evaluate_job || failed=1
  return $failed
}

# The model of the job on the photographs that it was validated on, by this device and by the processor.
evaluate_job() {
  local on run=$work/job-with-an-empty-cache rate of=()
  [[ -f $run/model.safetensors ]] || return 1
  for on in "$device" cpu; do
    # A cache folder that cannot be made: plans for this one pass need not be timed.
    PETNET_CACHE_DIR=/dev/null/none within 3 "$(program petnet)" evaluate --device "$on" --data "$work/pets" --model "$run" \
      --valid-list "$run/valid.txt" --json >"$work/evaluate.$on.json" 2>>"$work/evaluate.log"
    rate=$(number error_rate "$work/evaluate.$on.json")
    of+=("${rate:-nan}")
  done
  echo "\`petnet evaluate\`, error rate of the model: ${of[0]} by $device, ${of[1]} by cpu; in training $(number error_rate "$run.unfrozen")."
  if [[ ${of[*]} == *nan* ]]; then
    echo "Not compared: one of them had no time or failed."
    (($(left) < 5)) && return 0
    return 1
  fi
  # Both compute in float32; half a per cent are those few photographs whose two logits are as good as the same.
  awk -v a="${of[0]}" -v b="${of[1]}" 'BEGIN { exit !(a - b <= 0.005 && b - a <= 0.005) }'
}

# cuDNN's plans, chosen with nothing else on the device, before whatever times them: what a process finds in the cache it
# does not time.
part_plans() {
  local batch precision began status failed=0 batches=(64 256) precisions=(bf16 fp16) size=224
  if [[ $device == cpu ]]; then batches=(4) precisions=(bf16) size=64; fi
  if [[ -d $work/job-cache/plans ]]; then # the job's were chosen in the same way
    mkdir -p "$PETNET_CACHE_DIR" && cp -r "$work/job-cache/plans" "$PETNET_CACHE_DIR"
  fi
  row precision batch 'seconds to the first step'
  echo '|---|---|---|'
  for batch in "${batches[@]}"; do
    for precision in "${precisions[@]}"; do
      began=$EPOCHREALTIME
      # The unfrozen step has the convolutions of the other phases.
      within 3 "$(program train_step)" --device "$device" --batch "$batch" --size $size \
        --precision "$precision" <<<'pipelined 1' >>"$work/plans.log" 2>&1
      status=$?
      row "$precision" "$batch" "$(seconds_since "$began")$( ((status == 0)) || echo ", status $status")"
      ((status == 0)) || timed_out $status || { failed=1 && say "$(tail -n 1 "$work/plans.log")"; }
    done
  done
  if [[ -d $PETNET_CACHE_DIR/plans ]]; then cat "$PETNET_CACHE_DIR"/plans/* >"$out/plans.txt"; fi
  return $failed
}

part_idle() {
  local tracer phase batch trace step untraced idle kernels failed=0 found=0
  [[ $device == cuda ]] || skip "not run: CUPTI records GPUs"
  tracer=$(program libkernel_trace.so) || skip "not run: built without CUPTI"
  for batch in 64 256; do
    for phase in unfrozen frozen evaluation; do
      echo
      echo "### $phase, bf16, batch $batch"
      echo
      if (($(left) < 10)); then
        echo 'not run: no time was left'
        continue
      fi
      trace=$work/trace.$phase.$batch
      step=(within 3 "$(program train_step)" --device cuda --phase "$phase" --batch "$batch" --precision bf16)
      "${step[@]}" <<<$'pipelined 20\npipelined 100' >"$trace.untraced" 2>"$trace.log" || failed=1
      untraced=$(step_milliseconds "$trace.untraced" | tail -n 1)
      CUDA_INJECTION64_PATH=$tracer PETNET_KERNEL_TRACE=$trace "${step[@]}" <<<$'pipelined 20\npipelined 100' \
        >>"$trace.log" 2>&1 || failed=1
      if [[ -s $trace ]]; then
        found=1
        idle=$(awk '/^idle / { print $2 }' "$trace")
        # Tracing may put gaps between the kernels of a graph. What they take themselves, against a step that was not traced,
        # errs to the other side: each has its mean time, as often as it is in a step, which softmax_rows is once.
        kernels=$(awk -F'|' '$3 + 0 > 0 { microseconds[NR] = $3; count[NR] = $4; if ($5 ~ /softmax_rows/) steps = $4 }
          END { for (each in count) if (steps) sum += microseconds[each] * int(count[each] / steps + 0.5); printf "%.3f", sum / 1000 }' "$trace")
        awk -v idle="$idle" -v kernels="$kernels" -v step="$untraced" 'BEGIN {
          if (kernels > 0 && step > 0) { other = 100 * (1 - kernels / step); if (idle == "" || other < idle) idle = other }
          printf "%.2f", idle }' >"$trace.idle"
        must_hold "GPU idle in the step, $phase, batch $batch, bf16: under 3 %" \
          "$(cat "$trace.idle") (traced ${idle:-?}; kernels $kernels ms of $untraced ms untraced)" 'x < 3'
        echo "A step without tracing $untraced ms, its kernels $kernels ms."
        echo
        head -n 30 "$trace"
      else
        echo 'nothing was recorded'
        head -n 3 "$trace.log"
      fi
    done
  done
  ((found)) || skip "not run: CUPTI recorded nothing"
  return $failed
}

part_profiles() {
  local phase roof status=0 precisions=(bf16 fp16)
  [[ $device == cuda ]] || precisions=(bf16)
  profile "${precisions[@]}" || status=1
  # Images/s that are 60 % of a data sheet's roofline with fused element-wise kernels, unfrozen and frozen.
  local -A goal
  case $("$(program petnet)" doctor) in
    *H200*) goal=([unfrozen]=16300 [frozen]=22100) ;;
    *H100*) goal=([unfrozen]=13600 [frozen]=18000) ;;
  esac
  for phase in unfrozen frozen; do
    roof=$(sort -rn "$work/roofline.$phase" 2>/dev/null | head -n 1)
    must_hold "goal: 60 % of the roofline of the step's operations, $phase" "$roof" 'x >= 60' reached 'not reached'
    [[ -z ${goal[$phase]:-} ]] ||
      must_hold "goal: ${goal[$phase]} images/s, $phase" "$(sort -rn "$work/rate.$phase" 2>/dev/null | head -n 1)" \
        "x >= ${goal[$phase]}" reached 'not reached'
  done
  return $status
}
part_profiles32() {
  if [[ $device == cpu ]]; then profile fp32; else profile tf32 fp32; fi
}

# profile PRECISION...: also what part of the roofline the steps reach, in $work/roofline.PHASE, and their images/s, in
# $work/rate.PHASE.
profile() {
  local batch precision status failed=0 count=0 key gemm batches=(64 256) size=224
  if [[ $device == cpu ]]; then batches=(4) size=64; fi
  for batch in "${batches[@]}"; do
    for precision in "$@"; do
      key=$precision.$batch
      if (($(left) < 10)); then
        echo "$key: not run: no time was left"
        continue
      fi
      ((++count))
      gemm=$(number "$precision" "$work/matrix.json")
      echo '```'
      # Results are compared with the reference by the part `tests`.
      within 3 "$(program petnet-bench)" --device "$device" --dtype "$precision" --batch "$batch" \
        --size $size --quick --no-verify --filter "/b$batch" --gemm-peak "${gemm:-0}" --json "$work/profile.$key.json" \
        2>"$work/profile.$key.log" | tee "$work/profile.$key.table"
      status=${PIPESTATUS[0]}
      echo '```'
      if timed_out "$status"; then
        echo "$key: not run: no time was left"
      elif ((status != 0)); then
        failed=1
        echo "$key: failed: $(tail -n 1 "$work/profile.$key.log")" | tee /dev/stderr
      fi
      # "  unfrozen bf16 b64: 1234.5 images/s; ...", and in the next line "at the peaks 1.234 ms (56%)".
      awk -v work="$work" -v key="$precision, batch $batch" '
        /^  (unfrozen|frozen) .* images\/s; / { phase = $1; print $4 " (" key ")" >>(work "/rate." phase) }
        /^    at the peaks / && phase { gsub(/[(%)]/, "", $NF); print $NF " % (" key ")" >>(work "/roofline." phase); phase = "" }
        /^  [a-z]+ .* images\/s; / && $1 !~ /frozen/ { phase = "" }' "$work/profile.$key.table"
      printf '[\n%s\n]\n' "$(cat "$work"/profile.*.json 2>/dev/null | sed '$!s/^}$/},/')" >"$out/profiles.json"
    done
  done
  ((count > 0)) || skip "not run: no time was left"
  return $failed
}
