#!/usr/bin/env bash
# Choices that only a GPU can judge: operations fused or not, taking turns; the padding of photographs. Read by
# gpu_session.sh, as gpu_session_parts.sh is, which says what is given.
# shellcheck disable=SC2154 # that

part_choices() {
  local phase batch fuse pid fd line round rounds=11 steps=20 failed=0 size=224 batches=(64 256) precision=fp16 other=bf16
  local -A to from
  trap '' PIPE # a step that has died does not end the part
  if [[ $device == cpu ]]; then size=64 batches=(4) steps=1 rounds=3 precision=fp32 other=bf16; fi
  echo "Steps of $precision, ms, the median of $rounds rounds in which the three take turns; pairs: how many operations were done as one with"
  echo "another; norms: how many read through a batch norm. 'never' and 'always' are what --fuse of bench/train_step says, 'faster' is what"
  echo "petnet does."
  echo
  row phase batch never faster pairs norms always pairs norms
  echo '|---|---|---|---|---|---|---|---|---|'
  for batch in "${batches[@]}"; do
    for phase in unfrozen frozen; do
      if (($(left) < 15)); then
        echo "$phase, batch $batch: not run: no time was left"
        continue
      fi
      for fuse in never faster always; do
        rm -f "$work/choices.$fuse".*
        mkfifo "$work/choices.$fuse.in" "$work/choices.$fuse.out"
        "$(program train_step)" --device "$device" --phase $phase --batch "$batch" --size $size --precision $precision --fuse $fuse \
          <"$work/choices.$fuse.in" >"$work/choices.$fuse.out" 2>>"$work/choices.log" &
        exec {fd}>"$work/choices.$fuse.in" && to[$fuse]=$fd
        exec {fd}<"$work/choices.$fuse.out" && from[$fuse]=$fd
        ask $fuse # before the next one starts: plans are timed alone
      done
      for ((round = 0; round < rounds; ++round)); do
        for fuse in never faster always; do
          ask $fuse
          echo "$line" >>"$work/choices.$fuse.times"
        done
      done
      # The last one first: it has inherited the others' pipes.
      for fuse in always faster never; do
        fd=${to[$fuse]} && exec {fd}>&-
        read -r line <&"${from[$fuse]}" || failed=1
        echo "$line" >"$work/choices.$fuse.end"
        fd=${from[$fuse]} && exec {fd}<&-
      done
      for pid in $(jobs -p); do wait "$pid" || failed=1; done
      row $phase "$batch" "$(median_step never)" \
        "$(median_step faster)" "$(number fused_pairs "$work/choices.faster.end")" "$(number through_norms "$work/choices.faster.end")" \
        "$(median_step always)" "$(number fused_pairs "$work/choices.always.end")" "$(number through_norms "$work/choices.always.end")"
    done
  done
  echo
  echo 'The stem with photographs stored in 4 channels (what petnet does) and in 8:'
  for precision in $precision $other; do
    echo
    "$(program stem_channels)" --device "$device" --batch "${batches[-1]}" --size $size --precision "$precision" \
      2>>"$work/choices.log" || failed=1
  done
  return $failed
}

# ask NAME: $steps steps of that process; its answer in $line.
ask() {
  echo "pipelined $steps" >&"${to[$1]}"
  read -r line <&"${from[$1]}" || failed=1
}

# median_step NAME: of the answers in $work/choices.NAME.times, milliseconds a step.
median_step() {
  step_milliseconds "$work/choices.$1.times" | sort -n | awk '{ ms[NR] = $1 } END { if (NR) printf "%.3f", ms[int((NR + 1) / 2)] }'
}
