# Compile settings shared by every target of petnet, and the functions that make them.

add_library(petnet_settings INTERFACE)
target_include_directories(petnet_settings INTERFACE ${PROJECT_SOURCE_DIR})
set(warnings -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor -Woverloaded-virtual
  -Wcast-align -Wdouble-promotion)
# What nvcc takes is in cuda.cmake.
target_compile_options(petnet_settings INTERFACE
  # A comparison with ==, and NaN handling, must mean what they say: no -ffast-math anywhere.
  "$<$<COMPILE_LANGUAGE:C,CXX>:${warnings}>")
# Under the sanitizers compiling takes as long as testing, and with -O1 twice as long as without optimisation. A folder of
# long loops asks for more, before it adds targets. (Not options of petnet_settings, which would come after a folder's.)
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
# Initialisers that leave members at their defaults are no mistake.
set(quiet -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # gcc 12 to 14 report these inside the standard library's own inlined code.
  list(APPEND quiet -Wno-restrict -Wno-error=stringop-overflow -Wno-error=array-bounds -Wno-error=maybe-uninitialized)
endif()
target_compile_options(petnet_settings INTERFACE "$<$<COMPILE_LANGUAGE:C,CXX>:${quiet}>")
if(CMAKE_UNITY_BUILD)
  # What one source of a union names for itself is in sight of the next: only a local name that hides a local one is a
  # mistake. And gcc takes the sources for headers.
  set(in_unions -Wno-shadow)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    list(APPEND in_unions -Wshadow=local -Wno-subobject-linkage)
  endif()
  target_compile_options(petnet_settings INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${in_unions}>")
endif()
if(PETNET_SANITIZE)
  # -g1: the lines that a report names; all of -g would be a third of the time to compile.
  target_compile_options(petnet_settings INTERFACE
    -fsanitize=${PETNET_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  target_link_options(petnet_settings INTERFACE -fsanitize=${PETNET_SANITIZE})
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
