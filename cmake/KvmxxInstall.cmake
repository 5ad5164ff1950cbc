# SPDX-License-Identifier: Apache-2.0 OR MIT
# Installation, in three components: kvm (the core), vmm (the toolkit) and program. The packages that
# CMake and pkg-config find are relocatable: they know their prefix by where they lie.
include(CMakePackageConfigHelpers)

set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/kvmxx)
set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
set(templates ${CMAKE_CURRENT_LIST_DIR})

# From where a .pc file lies back to the prefix.
if(IS_ABSOLUTE ${CMAKE_INSTALL_LIBDIR} OR IS_ABSOLUTE ${CMAKE_INSTALL_INCLUDEDIR})
  message(FATAL_ERROR "CMAKE_INSTALL_LIBDIR and CMAKE_INSTALL_INCLUDEDIR must be relative to the prefix")
endif()
file(RELATIVE_PATH pkgconfig_to_prefix /prefix/${pkgconfig_dir} /prefix)
string(REGEX REPLACE "/$" "" pkgconfig_to_prefix ${pkgconfig_to_prefix})

# kvmxx_install_library(NAME DESCRIPTION): target, headers, export and .pc file of kvmxx::NAME. What the
# target links decides what its packages ask for.
function(kvmxx_install_library name description)
  install(TARGETS kvmxx_${name} EXPORT kvmxx-${name} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT ${name})
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/${name} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    COMPONENT ${name} FILES_MATCHING PATTERN *.hpp)
  install(EXPORT kvmxx-${name} FILE kvmxx-${name}-targets.cmake NAMESPACE kvmxx:: DESTINATION ${config_dir}
    COMPONENT ${name})

  set(packages)
  set(requires)
  set(libs)
  get_target_property(links kvmxx_${name} INTERFACE_LINK_LIBRARIES)
  foreach(link ${links})
    string(REGEX REPLACE "^\\$<LINK_ONLY:(.*)>$" "\\1" link "${link}")
    string(REGEX REPLACE "^.*/lib([a-z0-9]+)\\.a$" "\\1" link "${link}")  # KVMXX_SELF_CONTAINED
    if(link STREQUAL "kvmxx::kvm")
      list(APPEND requires "kvmxx-kvm = ${PROJECT_VERSION}")
    elseif(link MATCHES "^fmt::fmt")
      list(APPEND packages fmt)
      list(APPEND requires fmt)
    elseif(link MATCHES "^spdlog::spdlog")
      list(APPEND packages spdlog)
      list(APPEND requires spdlog)
    elseif(link STREQUAL "z")
      list(APPEND requires zlib)
    elseif(link MATCHES "^(lzma|lz4|zstd)$")
      list(APPEND requires lib${link})
    elseif(link STREQUAL "uring")
      list(APPEND requires liburing)
    elseif(link STREQUAL "Threads::Threads")
      list(APPEND packages Threads)
      list(APPEND libs -pthread)
    elseif(link STREQUAL "dl")
      list(APPEND libs -ldl)
    elseif(link STREQUAL "atomic")
      list(APPEND libs -latomic)
    elseif(link)
      message(FATAL_ERROR "kvmxx::${name} links ${link}: tell cmake/KvmxxInstall.cmake its packages' names")
    endif()
  endforeach()
  set(kvmxx_${name}_packages ${packages} PARENT_SCOPE)

  list(JOIN requires ", " requires)
  list(JOIN libs " " libs)
  set(cflags)
  if(CMAKE_BUILD_TYPE STREQUAL "Debug")
    set(cflags -DKVMXX_CHECKED=1)
  endif()
  configure_file(${templates}/kvmxx.pc.in ${PROJECT_BINARY_DIR}/kvmxx-${name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/kvmxx-${name}.pc DESTINATION ${pkgconfig_dir} COMPONENT ${name})
endfunction()

kvmxx_install_library(kvm "Linux KVM from C++: the kernel's interface, typed")
set(kvmxx_vmm_packages)
if(TARGET kvmxx_vmm)
  kvmxx_install_library(vmm "What a virtual machine monitor is built from")
endif()
if(TARGET kvmxx)
  install(TARGETS kvmxx RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
endif()

configure_package_config_file(${templates}/kvmxx-config.cmake.in ${PROJECT_BINARY_DIR}/kvmxx-config.cmake
  INSTALL_DESTINATION ${config_dir} NO_SET_AND_CHECK_MACRO)
# Before 1.0 a minor version may break what was there.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/kvmxx-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/kvmxx-config.cmake ${PROJECT_BINARY_DIR}/kvmxx-config-version.cmake
  DESTINATION ${config_dir} COMPONENT kvm)
install(FILES LICENSE-APACHE LICENSE-MIT DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT kvm)
