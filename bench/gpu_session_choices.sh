#!/usr/bin/env bash
# Choices that only a GPU can judge: pairs of operations fused or not, taking turns; the padding of photographs. Read by
# gpu_session.sh, as gpu_session_parts.sh is, which says what is given.
# shellcheck disable=SC2154 # that

part_choices() {
  local phase batch fuse pids=() round rounds=11 line steps=20 failed=0 size=224 batches=(64 256) precision=fp16 other=bf16
  if [[ $device == cpu ]]; then size=64 batches=(4) steps=1 rounds=3 precision=fp32 other=bf16; fi
  echo "Steps of $precision, ms, the median of $rounds rounds in which the three take turns; pairs: how many operations were done as one with"
  echo "another. 'never' and 'always' are what --fuse of bench/train_step says, 'faster' is what petnet does."
  echo
  row phase batch never faster pairs always pairs
  echo '|---|---|---|---|---|---|---|'
  for batch in "${batches[@]}"; do
    for phase in unfrozen frozen; do
      if ((part_end - SECONDS < 15)); then
        echo "$phase, batch $batch: not run: no time was left"
        continue
      fi
      pids=()
      for fuse in never faster always; do
        mkfifo "$work/choices.$fuse.in" "$work/choices.$fuse.out" 2>/dev/null
        "$(program train_step)" --device "$device" --phase $phase --batch "$batch" --size $size --precision $precision --fuse $fuse \
          <"$work/choices.$fuse.in" >"$work/choices.$fuse.out" 2>>"$work/choices.log" &
        pids+=($!)
        : >"$work/choices.$fuse.times"
      done
      {
        # The first round is to warm up.
        for ((round = 0; round <= rounds; ++round)); do
          echo "pipelined $steps" >&3 && read -r line <&4 && echo "$line" >>"$work/choices.never.times"
          echo "pipelined $steps" >&5 && read -r line <&6 && echo "$line" >>"$work/choices.faster.times"
          echo "pipelined $steps" >&7 && read -r line <&8 && echo "$line" >>"$work/choices.always.times"
        done
        exec 3>&- 5>&- 7>&-
        read -r line <&4 && echo "$line" >"$work/choices.never.end"
        read -r line <&6 && echo "$line" >"$work/choices.faster.end"
        read -r line <&8 && echo "$line" >"$work/choices.always.end"
      } 3>"$work/choices.never.in" 4<"$work/choices.never.out" 5>"$work/choices.faster.in" 6<"$work/choices.faster.out" \
        7>"$work/choices.always.in" 8<"$work/choices.always.out"
      wait "${pids[@]}" || failed=1
      row $phase "$batch" "$(median_step never)" "$(median_step faster)" "$(number fused_pairs "$work/choices.faster.end")" \
        "$(median_step always)" "$(number fused_pairs "$work/choices.always.end")"
    done
  done
  echo
  echo 'The stem with photographs stored in 4 channels (what petnet does) and in 8:'
  for line in $precision $other; do
    echo
    "$(program stem_channels)" --device "$device" --batch "${batches[-1]}" --size $size --precision "$line" 2>>"$work/choices.log" || failed=1
  done
  return $failed
}

# median_step NAME: of the lines of train_step in $work/choices.NAME.times but the first, milliseconds a step.
median_step() {
  sed -nE '2,$s/.*"steps": ([0-9]+), "seconds": ([0-9.]+).*/\1 \2/p' "$work/choices.$1.times" |
    awk '{ print 1000 * $2 / $1 }' | sort -n | awk '{ ms[NR] = $1 } END { if (NR) printf "%.3f", ms[int((NR + 1) / 2)] }'
}
