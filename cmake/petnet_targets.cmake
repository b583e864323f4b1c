# Compile settings shared by every target of petnet, and the functions that make them.

add_library(petnet_settings INTERFACE)
target_include_directories(petnet_settings INTERFACE ${PROJECT_SOURCE_DIR})
set(warnings -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor -Woverloaded-virtual
  -Wcast-align -Wdouble-promotion)
# What nvcc takes is in cuda.cmake.
target_compile_options(petnet_settings INTERFACE
  # A comparison with ==, and NaN handling, must mean what they say: no -ffast-math anywhere.
  "$<$<COMPILE_LANGUAGE:C,CXX>:${warnings}>")
# Under the sanitizers compiling takes as long as testing: -Og is a third less of it than -O1. A folder of long loops asks
# for more, before it adds targets. (Not options of petnet_settings, which would come after a folder's.)
string(APPEND CMAKE_CXX_FLAGS_DEBUG " -Og")
macro(petnet_debug_level level)
  string(APPEND CMAKE_CXX_FLAGS_DEBUG " ${level}")
endmacro()
# Errors with the compilers this is developed with; a newer one's new warnings must not keep a user from building.
set(developed_with "^(GNU 12|Clang 14)\\.")
if("${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}" MATCHES "${developed_with}")
  set(warnings_as_errors_default ON)
else()
  set(warnings_as_errors_default OFF)
endif()
option(PETNET_WARNINGS_AS_ERRORS "warnings stop the build" ${warnings_as_errors_default})
if(PETNET_WARNINGS_AS_ERRORS)
  target_compile_options(petnet_settings INTERFACE $<$<COMPILE_LANGUAGE:C,CXX>:-Werror>)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # gcc 12 to 14 report these inside the standard library's own inlined code; and it counts designated initialisers
  # that leave members at their defaults as missing ones.
  set(quiet -Wno-restrict -Wno-missing-field-initializers -Wno-error=stringop-overflow -Wno-error=array-bounds
    -Wno-error=maybe-uninitialized)
  target_compile_options(petnet_settings INTERFACE "$<$<COMPILE_LANGUAGE:C,CXX>:${quiet}>")
endif()
if(CMAKE_UNITY_BUILD)
  # A unity build reads sources as if they were headers of one file: what one of them names for itself is visible to the
  # next. `./dev tidy` looks at each file alone, with these warnings.
  target_compile_options(petnet_settings INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-Wno-shadow>")
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(petnet_settings INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-Wno-subobject-linkage>")
  endif()
endif()
if(PETNET_SANITIZE)
  # -g1: the lines that a report names; all of -g would be a third of the time to compile.
  target_compile_options(petnet_settings INTERFACE
    -fsanitize=${PETNET_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  target_link_options(petnet_settings INTERFACE -fsanitize=${PETNET_SANITIZE})
endif()
if(PETNET_FUZZ)
  # Every library is instrumented; tests/fuzz adds the driver to its programs.
  target_compile_options(petnet_settings INTERFACE
    -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(petnet_settings INTERFACE -fsanitize=address,undefined)
endif()

# petnet_library(NAME SOURCES file... HEADERS file... [PUBLIC lib...] [PRIVATE lib...])
# HEADERS are the folder's public declarations; each is compiled alone by the target
# all_verify_interface_header_sets.
set(CMAKE_VERIFY_INTERFACE_HEADER_SETS ON)
function(petnet_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;HEADERS;PUBLIC;PRIVATE")
  add_library(${name} STATIC ${arg_SOURCES})
  target_sources(${name} PUBLIC FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${arg_HEADERS})
  target_link_libraries(${name} PUBLIC petnet_settings ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
endfunction()
