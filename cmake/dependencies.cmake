# Every library petnet uses. What is absent switches its feature off by name; only what is marked REQUIRED must be there.

set(PETNET_DISABLED "" CACHE INTERNAL "features switched off, for `petnet doctor`")
function(petnet_disabled feature reason)
  message(STATUS "petnet: ${feature} is off: ${reason}")
  set(PETNET_DISABLED ${PETNET_DISABLED} "${feature}: ${reason}" CACHE INTERNAL "")
endfunction()

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(fmt REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
# libjpeg-turbo by its libjpeg interface: data/decode_jpeg.cpp says why not by TurboJPEG's.
pkg_check_modules(JPEG REQUIRED IMPORTED_TARGET libjpeg)
pkg_check_modules(STB REQUIRED IMPORTED_TARGET stb)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
find_package(CLI11 REQUIRED)
find_package(OpenMP)

# oneDNN's own CMake package asks for the OpenCL headers even where only the CPU engine is used: look for the two files.
find_path(ONEDNN_INCLUDE_DIR dnnl.hpp)
find_library(ONEDNN_LIBRARY dnnl)
set(PETNET_HAVE_CPU OFF)
if(NOT ONEDNN_INCLUDE_DIR OR NOT ONEDNN_LIBRARY)
  petnet_disabled("the cpu backend" "oneDNN was not found (Debian: libdnnl-dev)")
elseif(NOT OpenMP_CXX_FOUND)
  petnet_disabled("the cpu backend" "OpenMP was not found")
else()
  add_library(petnet_onednn INTERFACE)
  target_include_directories(petnet_onednn SYSTEM INTERFACE ${ONEDNN_INCLUDE_DIR})
  target_link_libraries(petnet_onednn INTERFACE ${ONEDNN_LIBRARY} OpenMP::OpenMP_CXX)
  set(PETNET_HAVE_CPU ON)
endif()

# `petnet data fetch` (data/download.cpp, data/archive.cpp).
find_package(CURL 7.85)
if(NOT CURL_FOUND)
  petnet_disabled("downloading" "libcurl 7.85 or later was not found (Debian: libcurl4-openssl-dev)")
endif()
find_package(LibArchive 3.4)
if(NOT LibArchive_FOUND)
  petnet_disabled("unpacking the Pet data set" "libarchive was not found (Debian: libarchive-dev)")
endif()
