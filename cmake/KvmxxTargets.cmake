# SPDX-License-Identifier: Apache-2.0 OR MIT
include_guard()

# kvmxx_options(TARGET): what every target of this project is compiled with; nothing of it reaches users.
function(kvmxx_options target)
  target_compile_features(${target} PUBLIC cxx_std_23)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS ON CXX_VISIBILITY_PRESET hidden)
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wshadow
    $<$<COMPILE_LANGUAGE:CXX>:-Wconversion -Wold-style-cast -Wnon-virtual-dtor>
    $<$<BOOL:${KVMXX_WERROR}>:-Werror>)
endfunction()

