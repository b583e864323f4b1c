# SPDX-License-Identifier: Apache-2.0
# Reads ctest's JUnit file: the tests that failed, the reasons of skips, then one line of counts. Status 1 if a test failed
# or none ran. A test that ctest could not start is "notrun" like a skipped one, but has failed.
function attribute(name,  text) {
  if (!match($0, " " name "=\"[^\"]*\"")) return ""
  text = substr($0, RSTART, RLENGTH)
  sub(/^[^"]*"/, "", text)
  sub(/"$/, "", text)
  return text
}
function plain(text) {
  gsub(/&lt;/, "<", text); gsub(/&gt;/, ">", text); gsub(/&quot;/, "\"", text); gsub(/&apos;/, "'", text)
  gsub(/&amp;/, "\\&", text)
  return text
}
/^\t<testcase / { name = plain(attribute("name")); sub(/ +# GetParam.*/, "", name); status = attribute("status"); reason = ""; legitimate = 0; next_is_reason = 0 }
/^\t\t<skipped / { legitimate = attribute("message") ~ /^SKIP_/ }
next_is_reason { reason = plain($0); next_is_reason = 0 }
/: Skipped$/ { next_is_reason = 1 }
/^\t\t<system-out>(SKIP|skipped):/ { reason = plain($0); sub(/^[^:]*: */, "", reason) } # scripts
/^\t<\/testcase>/ {
  if (status == "run") ++passed
  else if (status == "disabled" || (status == "notrun" && legitimate)) {
    ++skipped
    if (reason == "") reason = status == "disabled" ? "switched off" : "no reason given"
    if (!(reason in count)) { order[++reasons] = reason; first[reason] = name }
    ++count[reason]
  }
  else { ++failed; print "failed: " name }
}
END {
  for (i = 1; i <= reasons; ++i) {
    r = order[i]
    print "skipped: " r " (" first[r] (count[r] > 1 ? " and " count[r] - 1 " more" : "") ")"
  }
  printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
  exit failed > 0 || passed == 0
}
