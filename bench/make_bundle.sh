#!/usr/bin/env bash
# A folder with all that bench/gpu_session.sh needs on a bare machine with a GPU, where nothing can be built: petnet,
# the measuring programs, the tests, the shared libraries that such a machine lacks (not CUDA's, cuDNN's, nor the C and
# C++ runtimes), the scripts, and the data. It can be moved anywhere.
#
# usage: bench/make_bundle.sh [--without-data] [OUT.tar.xz]
#   OUT.tar.xz       build/petnet-gpu.tar.xz; the folder is left beside it, without the .tar.xz
#   --without-data   where the checkout goes along: the sample, the golden data and the scripts are taken from there
#   --targets        only prints what has to be built
# Takes what `./dev bundle` has built in build/bundle before it calls this. Needs patchelf.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${PETNET_BUILD:-$root/build/bundle}
limit=$((64 << 20)) # bytes that a machine may be sent
programs=(app/petnet bench/train_step bench/petnet-bench bench/stem_channels tests/kernels/kernels_test
  tests/kernels/cuda/cudnn_graph_cuda_test tests/model/model_test tests/train/train_test)
with_data=1
case ${1:-} in
  --targets)
    printf '%s\n' "${programs[@]##*/}"
    exit
    ;;
  --without-data)
    with_data=0
    shift
    ;;
esac
archive=${1:-$root/build/petnet-gpu.tar.xz}
folder=${archive%.tar.xz}

fail() {
  echo "make_bundle: $1" >&2
  exit 4
}
[[ $archive == *.tar.xz ]] || fail "the archive's name must end in .tar.xz: $archive"
command -v patchelf >/dev/null || fail "patchelf is missing (Debian: apt-get install patchelf)"

for program in "${programs[@]}"; do
  [[ -x $build/$program ]] ||
    fail "$build/$program is not there: it is built by ./dev bundle, where the CUDA toolkit is installed"
done

rm -rf "$folder" "$archive"
mkdir -p "$folder/bin" "$folder/lib"

# Those of the system that every machine with a GPU driver has. All of glibc's: a part of another version does not load.
present='^(linux-vdso|ld-linux.*|libc|libm|libdl|libpthread|librt|libutil|libresolv|libnsl|libanl|libmvec|libstdc\+\+|libgcc_s|libcuda|libcupti|libcudnn.*)\.so'

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

if ((with_data)); then
  mkdir -p "$folder/share/petnet" "$folder/bench"
  cp -r "$root/data/sample" "$folder/share/petnet/sample"
  cp -r "$root/tests/golden" "$folder/golden"
  rm -rf "$folder/golden/generate"
  cp -r "$root"/bench/{gpu_session.sh,gpu_session_parts.sh,gpu_session_speed.sh,gpu_session_choices.sh,peers} "$folder/bench"
  rm -rf "$folder/bench/peers/__pycache__"
fi
# The programs have most of their code in common: a window that spans them all stores it once. Addresses of calls, which
# differ from place to place, are made alike first (--x86).
tar -C "$(dirname "$folder")" --sort=name --owner=0 --group=0 -cf - "$(basename "$folder")" |
  xz --threads=1 --x86 --lzma2=preset=9,dict=192MiB >"$archive"

size=$(stat -c %s "$archive")
printf '%s: %d bytes packed, %d MB unpacked\n' "$archive" "$size" "$(du -sm "$folder" | cut -f1)"
if ((!with_data)); then
  checkout=$(cd "$root" && git ls-files -z --cached --others --exclude-standard |
    xargs -0 stat -c %s | awk '{ sum += $1 } END { printf "%d", sum }')
  printf 'with the checkout: %d bytes\n' $((size += checkout))
fi
((size <= limit)) || fail "more than the $limit bytes that a machine may be sent"
