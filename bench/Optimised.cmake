# SPDX-License-Identifier: Apache-2.0 OR MIT
include_guard()

# What is measured is compiled as users compile it, -O2 -DNDEBUG, by each compiler that is supported,
# whatever this build's own compiler and options are.
set(kvmxx_compilers)
foreach(pair gcc:gcc-12:g++-12 clang:clang-19:clang++-19)
  string(REPLACE ":" ";" pair ${pair})
  list(GET pair 0 id)
  list(GET pair 1 c)
  list(GET pair 2 cxx)
  find_program(KVMXX_OPTIMISED_${id}_C ${c})
  find_program(KVMXX_OPTIMISED_${id}_CXX ${cxx})
  mark_as_advanced(KVMXX_OPTIMISED_${id}_C KVMXX_OPTIMISED_${id}_CXX)
  if(KVMXX_OPTIMISED_${id}_C AND KVMXX_OPTIMISED_${id}_CXX)
    list(APPEND kvmxx_compilers ${id})
  else()
    message(STATUS "${cxx} is not installed: nothing is measured with it")
  endif()
endforeach()

# _kvmxx_objects(VARIABLE NAME COMPILER SOURCE...): compiles them, named relative to this directory or
# absolutely.
function(_kvmxx_objects variable target compiler)
  # The kernel's structures end in arrays; functions with C names return C++ objects.
  set(quiet)
  if(compiler STREQUAL clang)
    set(quiet -Wno-gnu-variable-sized-type-not-at-end -Wno-return-type-c-linkage)
  endif()
  set(objects)
  foreach(source ${ARGN})
    cmake_path(ABSOLUTE_PATH source BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} NORMALIZE)
    cmake_path(RELATIVE_PATH source BASE_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE name)
    string(MAKE_C_IDENTIFIER ${name} file)
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${target}.dir/${file}.o)
    if(source MATCHES "\\.c$")
      set(command ${KVMXX_OPTIMISED_${compiler}_C} -std=gnu17)
    else()
      get_filename_component(label ${KVMXX_OPTIMISED_${compiler}_CXX} NAME)
      set(command ${KVMXX_OPTIMISED_${compiler}_CXX} -std=gnu++23 -Wconversion -DCOMPILER="${label}")
    endif()
    add_custom_command(
      OUTPUT ${object}
      COMMAND ${command} -O2 -DNDEBUG -Wall -Wextra -Wshadow -Werror ${quiet} -I${PROJECT_SOURCE_DIR}/src -I${PROJECT_SOURCE_DIR}/include
              -MD -MF ${object}.d -c ${source} -o ${object}
      DEPENDS ${source} DEPFILE ${object}.d VERBATIM
      COMMENT "Compiling ${name} with ${compiler} -O2")
    list(APPEND objects ${object})
  endforeach()
  set(${variable} ${objects} PARENT_SCOPE)
endfunction()

# kvmxx_optimised(TARGET COMPILER OUTPUT SOURCE... [LIBRARIES -lNAME...]): a program of these sources and
# the library.
function(kvmxx_optimised target compiler output)
  cmake_parse_arguments(PARSE_ARGV 3 program "" "" "LIBRARIES")
  set(archive ${PROJECT_BINARY_DIR}/bench/libkvm-${compiler}.a)
  if(NOT TARGET optimised_kvm_${compiler})
    get_target_property(sources kvmxx_kvm SOURCES)
    _kvmxx_objects(objects optimised_kvm_${compiler} ${compiler} ${sources})
    add_custom_command(
      OUTPUT ${archive} COMMAND ${CMAKE_COMMAND} -E rm -f ${archive} COMMAND ${CMAKE_AR} rcs ${archive} ${objects}
      DEPENDS ${objects} VERBATIM COMMENT "Linking libkvm-${compiler}.a")
    add_custom_target(optimised_kvm_${compiler} DEPENDS ${archive})
  endif()
  _kvmxx_objects(objects ${target} ${compiler} ${program_UNPARSED_ARGUMENTS})
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${KVMXX_OPTIMISED_${compiler}_CXX} ${objects} ${archive} ${program_LIBRARIES} -o ${output}
    DEPENDS ${objects} ${archive} VERBATIM COMMENT "Linking ${target}")
  add_custom_target(${target} ALL DEPENDS ${output})
  add_dependencies(${target} optimised_kvm_${compiler})
endfunction()
