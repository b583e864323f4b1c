#!/usr/bin/env bash
# A folder with all that bench/gpu_session.sh needs on a bare machine with a GPU, where nothing can be built: petnet,
# the measuring programs, the tests, the shared libraries that such a machine lacks (not CUDA's, cuDNN's, nor the C and
# C++ runtimes), the scripts, and the data. It can be moved anywhere.
#
# usage: bench/make_bundle.sh [--without-data] [OUT.tar.xz]
#   OUT.tar.xz       build/petnet-gpu.tar.xz; the folder is left beside it, without the .tar.xz
#   --without-data   where a checkout goes along: the sample, the golden data and the scripts are taken from there
# Takes what `./dev test` has built in build/release; `./dev bundle` builds and calls this. Needs patchelf.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${PETNET_BUILD:-$root/build/release}
limit_mb=64
with_data=1
if [[ ${1:-} == --without-data ]]; then
  with_data=0
  shift
fi
archive=${1:-$root/build/petnet-gpu.tar.xz}
folder=${archive%.tar.xz}

fail() {
  echo "make_bundle: $1" >&2
  exit 4
}
[[ $archive == *.tar.xz ]] || fail "the archive's name must end in .tar.xz: $archive"
command -v patchelf >/dev/null || fail "patchelf is missing (Debian: apt-get install patchelf)"

programs=(app/petnet bench/train_step bench/petnet-bench bench/stem_channels
  tests/kernels/kernels_test tests/model/model_test tests/train/train_test)
for program in "${programs[@]}"; do
  [[ -x $build/$program ]] ||
    fail "$build/$program is not there: it is built by ./dev bundle, where the CUDA toolkit is installed"
done

rm -rf "$folder" "$archive"
mkdir -p "$folder/bin" "$folder/lib"

# Those of the system that every machine with a GPU driver has.
present='^(linux-vdso|ld-linux.*|libc|libm|libdl|libpthread|librt|libutil|libstdc\+\+|libgcc_s|libcuda|libcupti|libcudnn.*)\.so'

# bundle_libraries FILE: the libraries it needs, and those they need, as ldd finds them.
bundle_libraries() {
  local name path
  while read -r name path; do
    [[ $name =~ $present ]] && continue
    [[ -f $path ]] || fail "$1 needs $name, which is not here"
    [[ -e $folder/lib/$name ]] || install -m 755 "$path" "$folder/lib/$name"
  done < <(ldd "$1" | awk '$2 == "=>" { print $1, $3 }')
}

for program in "${programs[@]}"; do
  bundle_libraries "$build/$program"
  install -m 755 "$build/$program" "$folder/bin"
done
if [[ -f $build/bench/libkernel_trace.so ]]; then
  install -m 755 "$build/bench/libkernel_trace.so" "$folder/lib"
fi
strip --strip-unneeded "$folder"/bin/* "$folder"/lib/*
# RPATH and not RUNPATH: it also holds for what the libraries need.
for file in "$folder"/bin/*; do patchelf --force-rpath --set-rpath "\$ORIGIN/../lib" "$file"; done
for file in "$folder"/lib/*; do patchelf --force-rpath --set-rpath "\$ORIGIN" "$file"; done

git -C "$root" describe --always --dirty >"$folder/COMMIT" 2>/dev/null || echo unknown >"$folder/COMMIT"
if ((with_data)); then
  mkdir -p "$folder/share/petnet" "$folder/bench"
  cp -r "$root/data/sample" "$folder/share/petnet/sample"
  cp -r "$root/tests/golden" "$folder/golden"
  rm -rf "$folder/golden/generate"
  cp -r "$root"/bench/{gpu_session.sh,gpu_session_parts.sh,gpu_session_choices.sh,peers} "$folder/bench"
  rm -rf "$folder/bench/peers/__pycache__"
fi
# The programs have most of their code in common: a window that spans them all stores it once.
tar -C "$(dirname "$folder")" --sort=name --owner=0 --group=0 -cf - "$(basename "$folder")" |
  xz --threads=1 --lzma2=preset=6,dict=192MiB >"$archive"

size_mb=$(($(stat -c %s "$archive") / 1000000 + 1))
printf '%s: %d MB packed, %d MB unpacked\n' "$archive" "$size_mb" "$(du -sm "$folder" | cut -f1)"
((size_mb <= limit_mb)) || fail "more than the $limit_mb MB that a machine may be sent"
