# The CUDA toolkit, cuDNN's headers and those of cudnn-frontend, for the cuda backend. Included at the top level, as it
# makes CUDA a language of the project. Sets PETNET_HAVE_CUDA and, where that is on, the targets
#   petnet_cuda            compile options of .cu files, the runtime (linked statically)
#   petnet_cudnn_frontend  for the source that includes cudnn_frontend.h; cuDNN itself is loaded when petnet runs
# so that a program built with CUDA starts on a machine that has neither a driver nor cuDNN.

set(PETNET_CUDA auto CACHE STRING "the cuda backend: auto (where it can be built), on (or configuring fails), off")
set_property(CACHE PETNET_CUDA PROPERTY STRINGS auto on off)
set(PETNET_CUDNN_FRONTEND_DIR "" CACHE PATH "a folder with cudnn_frontend.h, instead of downloading it")
set(PETNET_HAVE_CUDA OFF)

# The headers are the same in the package's files for all Pythons and processors.
set(cudnn_frontend_version 1.23.0)
set(cudnn_frontend_wheel
  nvidia_cudnn_frontend-1.23.0-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl)
set(cudnn_frontend_sha256 7bdae232a3071501012611fab14aae34dd16983205e56d3c1641317910fdd385)
set(cudnn_frontend_url
  https://files.pythonhosted.org/packages/be/18/5053e0f567eb1e6ce4f6584272312d1d9541180f7984699c8c9f02f4a3d6)

# The version that FILE defines as NAME_MAJOR, NAME_MINOR and NAME_PATCH..., e.g. 9.19.0; empty where it does not.
function(petnet_header_version file name result)
  set(version "")
  if(EXISTS ${file})
    file(STRINGS ${file} lines REGEX "#define +${name}_(MAJOR|MINOR|PATCH)[A-Z_]* +[0-9]+")
    list(TRANSFORM lines REPLACE ".* ([0-9]+)$" "\\1")
    list(JOIN lines "." version)
  endif()
  set(${result} "${version}" PARENT_SCOPE)
endfunction()

# Puts the pinned package's file at WHEEL: from the index itself, else by pip, which may know a mirror of it.
function(petnet_download_cudnn_frontend wheel)
  message(STATUS "petnet: downloading the headers of cudnn-frontend ${cudnn_frontend_version} (3 MB)")
  file(DOWNLOAD ${cudnn_frontend_url}/${cudnn_frontend_wheel} ${wheel}.part
    TLS_VERIFY ON TIMEOUT 120 INACTIVITY_TIMEOUT 10 STATUS ignored)
  find_program(PETNET_PYTHON python3)
  mark_as_advanced(PETNET_PYTHON)
  if(EXISTS ${wheel}.part)
    file(SHA256 ${wheel}.part hash)
  endif()
  if(NOT "${hash}" STREQUAL cudnn_frontend_sha256 AND PETNET_PYTHON)
    cmake_path(GET wheel PARENT_PATH folder)
    file(WRITE ${folder}/requirements.txt
      "nvidia-cudnn-frontend==${cudnn_frontend_version} --hash=sha256:${cudnn_frontend_sha256}\n")
    execute_process(
      COMMAND ${PETNET_PYTHON} -m pip download --quiet --disable-pip-version-check --no-input --retries 1 --timeout 10
        --no-deps --require-hashes --only-binary=:all: --implementation cp --python-version 3.11 --abi cp311
        --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64
        --dest ${folder} --requirement ${folder}/requirements.txt
      TIMEOUT 120 OUTPUT_QUIET ERROR_QUIET RESULT_VARIABLE ignored)
    file(REMOVE ${folder}/requirements.txt)
    if(EXISTS ${folder}/${cudnn_frontend_wheel})
      file(RENAME ${folder}/${cudnn_frontend_wheel} ${wheel}.part)
      file(SHA256 ${wheel}.part hash)
    endif()
  endif()
  if("${hash}" STREQUAL cudnn_frontend_sha256)
    file(RENAME ${wheel}.part ${wheel})
  else()
    file(REMOVE ${wheel}.part)
  endif()
endfunction()

# The folder with cudnn_frontend.h; empty where it is nowhere.
function(petnet_find_cudnn_frontend result)
  find_path(CUDNN_FRONTEND_INCLUDE_DIR cudnn_frontend.h HINTS ${PETNET_CUDNN_FRONTEND_DIR}
    PATHS ${CUDAToolkit_INCLUDE_DIRS})
  mark_as_advanced(CUDNN_FRONTEND_INCLUDE_DIR)
  petnet_header_version("${CUDNN_FRONTEND_INCLUDE_DIR}/cudnn_frontend_version.h" CUDNN_FRONTEND installed)
  set(found ${CUDNN_FRONTEND_INCLUDE_DIR})
  if(NOT installed VERSION_GREATER_EQUAL cudnn_frontend_version) # also where there is none
    set(folder ${CMAKE_BINARY_DIR}/_deps/cudnn_frontend-${cudnn_frontend_version})
    set(wheel ${folder}.whl)
    set(found ${folder}/include)
    if(NOT EXISTS ${found}/cudnn_frontend.h)
      petnet_download_cudnn_frontend(${wheel})
      if(EXISTS ${wheel})
        file(REMOVE_RECURSE ${folder}.part)
        file(ARCHIVE_EXTRACT INPUT ${wheel} DESTINATION ${folder}.part PATTERNS include/* *LICENSE*)
        file(REMOVE_RECURSE ${folder})
        file(RENAME ${folder}.part ${folder}) # whole, or not there
        file(REMOVE ${wheel})
      else()
        set(found "")
      endif()
    endif()
  endif()
  set(${result} "${found}" PARENT_SCOPE)
endfunction()

# What is missing for the backend, in words; empty where nothing is.
set(cuda_missing "")
if(PETNET_CUDA STREQUAL "off")
  set(cuda_missing "PETNET_CUDA is off")
endif()
if(NOT cuda_missing)
  find_program(PETNET_NVCC nvcc HINTS ENV CUDACXX ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
  mark_as_advanced(PETNET_NVCC)
  if(PETNET_NVCC AND NOT DEFINED ENV{CUDACXX})
    set(ENV{CUDACXX} ${PETNET_NVCC}) # where check_language() begins to look
  endif()
  # Code for T4, A100 and H100; for anything newer, intermediate code that the driver compiles.
  set(cuda_architectures 75-real 80-real 90)
  set(CMAKE_CUDA_ARCHITECTURES "${cuda_architectures}" CACHE STRING "GPUs that code is made for, in CMake's notation")
  if(DEFINED ENV{CUDACXX})
    include(CheckLanguage)
    check_language(CUDA)
  endif()
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION) # CMake 3.25 does not know that nvcc can
      set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
    endif()
    # CMake 3.25 sets a property of this target also where CUDA has the library no more, as in 13.
    if(CMAKE_VERSION VERSION_LESS 3.26 AND NOT TARGET CUDA::nvToolsExt)
      add_library(CUDA::nvToolsExt INTERFACE IMPORTED)
    endif()
    find_package(CUDAToolkit QUIET)
  endif()
  if(NOT CUDAToolkit_FOUND)
    set(cuda_missing "the CUDA toolkit was not found")
  elseif(CUDAToolkit_VERSION VERSION_LESS 12.0)
    set(cuda_missing "CUDA 12 or newer is needed, found ${CUDAToolkit_VERSION}")
  endif()
endif()
if(NOT cuda_missing)
  find_path(CUDNN_INCLUDE_DIR cudnn_graph.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
  find_library(CUDNN_LIBRARY NAMES libcudnn.so.9 HINTS ${CUDAToolkit_LIBRARY_DIR}) # a hint for where to load it from
  mark_as_advanced(CUDNN_INCLUDE_DIR CUDNN_LIBRARY)
  petnet_header_version("${CUDNN_INCLUDE_DIR}/cudnn_version.h" CUDNN cudnn_version)
  if(NOT cudnn_version)
    set(cuda_missing "cuDNN's headers were not found (CUDNN_INCLUDE_DIR may name their folder)")
  elseif(cudnn_version VERSION_LESS 9.8)
    set(cuda_missing "cuDNN 9.8 or newer is needed, found ${cudnn_version}")
  endif()
endif()
if(NOT cuda_missing)
  petnet_find_cudnn_frontend(cudnn_frontend_include)
  if(NOT cudnn_frontend_include)
    set(cuda_missing "the headers of cudnn-frontend could not be downloaded (PETNET_CUDNN_FRONTEND_DIR may name them)")
  endif()
endif()

if(NOT cuda_missing)
  message(STATUS "petnet: the cuda backend is on: CUDA ${CUDAToolkit_VERSION}, cuDNN ${cudnn_version}")
  set(PETNET_HAVE_CUDA ON)

  add_library(petnet_cuda INTERFACE)
  target_link_libraries(petnet_cuda INTERFACE CUDA::cudart_static)
  # --expt-relaxed-constexpr: std::numeric_limits and constexpr functions of ours in device code.
  # -lineinfo: profilers and the sanitizer name source lines; it changes no code.
  target_compile_options(petnet_cuda INTERFACE
    $<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr -lineinfo -Xcompiler=-Wall,-Wextra>)
  if(PETNET_WARNINGS_AS_ERRORS)
    target_compile_options(petnet_cuda INTERFACE $<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings>)
  endif()

  add_library(petnet_cudnn_frontend INTERFACE)
  target_include_directories(petnet_cudnn_frontend SYSTEM INTERFACE ${cudnn_frontend_include} ${CUDNN_INCLUDE_DIR})
  target_compile_definitions(petnet_cudnn_frontend INTERFACE
    NV_CUDNN_FRONTEND_USE_DYNAMIC_LOADING # functions are looked up in what kernels/cuda/cudnn_library.cpp loads
    CUDNN_FRONTEND_SKIP_JSON_LIB)         # plans are kept by name: half the time to compile
  target_link_libraries(petnet_cudnn_frontend INTERFACE petnet_cuda ${CMAKE_DL_LIBS})
  if(CUDNN_LIBRARY)
    target_compile_definitions(petnet_cudnn_frontend INTERFACE PETNET_CUDNN_LIBRARY="${CUDNN_LIBRARY}")
  else()
    target_compile_definitions(petnet_cudnn_frontend INTERFACE PETNET_CUDNN_LIBRARY="libcudnn.so.9")
  endif()
  # For several GPUs; the library itself is loaded when petnet runs, as cuDNN is.
  find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
  mark_as_advanced(NCCL_INCLUDE_DIR)
  if(NOT NCCL_INCLUDE_DIR)
    petnet_disabled("training on several GPUs" "NCCL's header was not found (NCCL_INCLUDE_DIR may name its folder)")
  endif()
elseif(PETNET_CUDA STREQUAL "on")
  message(FATAL_ERROR "petnet: the cuda backend: ${cuda_missing}")
else()
  petnet_disabled("the cuda backend" "${cuda_missing}")
endif()
