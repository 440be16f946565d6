# find_package(ssmwire) gives the targets ssmwire::ssmwire, the shared library, and ssmwire::static.
get_filename_component(_ssmwire_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

if(NOT TARGET ssmwire::ssmwire)
    add_library(ssmwire::ssmwire SHARED IMPORTED)
    set_target_properties(ssmwire::ssmwire PROPERTIES
        IMPORTED_LOCATION "${_ssmwire_prefix}/lib/libssmwire.so.0"
        IMPORTED_SONAME libssmwire.so.0
        INTERFACE_INCLUDE_DIRECTORIES "${_ssmwire_prefix}/include")
    add_library(ssmwire::static STATIC IMPORTED)
    set_target_properties(ssmwire::static PROPERTIES
        IMPORTED_LOCATION "${_ssmwire_prefix}/lib/libssmwire.a"
        INTERFACE_LINK_LIBRARIES "gcc_s;util;rt;pthread;m;dl;c"
        INTERFACE_INCLUDE_DIRECTORIES "${_ssmwire_prefix}/include")
endif()

unset(_ssmwire_prefix)
