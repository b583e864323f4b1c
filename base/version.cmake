# cmake -DSOURCE=FOLDER -DCOMMIT=TEXT -DTEMPLATE=FILE -DOUTPUT=FILE -P version.cmake
# Writes OUTPUT from TEMPLATE with the commit that COMMIT names or, where it is empty, that SOURCE is at.
if(NOT COMMIT)
  execute_process(COMMAND git describe --always --dirty --abbrev=9
    WORKING_DIRECTORY ${SOURCE} OUTPUT_VARIABLE COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
set(commit_in_version "")
if(COMMIT)
  set(commit_in_version " (commit ${COMMIT})")
endif()
configure_file(${TEMPLATE} ${OUTPUT})
