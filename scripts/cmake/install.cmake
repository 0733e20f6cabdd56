# What `cmake --install` puts in place: the command, the headers, the libraries and their pkg-config
# files, the Lua module, the editor stubs.

install(TARGETS moonfork RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")

install(DIRECTORY runtime/include/ DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/moonfork"
        FILES_MATCHING PATTERN "*.h")
install(FILES bindings/moonfork_lua.h DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/moonfork" OPTIONAL)
install(FILES bindings/moonfork.meta.lua DESTINATION "${CMAKE_INSTALL_DATADIR}/moonfork" OPTIONAL)

foreach(library moonfork_static moonfork_lua_static)
    if(TARGET ${library})
        install(TARGETS ${library} ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
    endif()
endforeach()
if(TARGET moonfork_module)
    install(TARGETS moonfork_module LIBRARY DESTINATION "${MF_LUA_CMOD_DIR}")
endif()

# The .pc files find the rest from where they stand, so that the tree may be moved.
set(MF_PC_DIR "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
file(RELATIVE_PATH MF_PC_PREFIX "/prefix/${MF_PC_DIR}" "/prefix")
foreach(name moonfork moonfork-lua)
    configure_file("scripts/cmake/${name}.pc.in" "${PROJECT_BINARY_DIR}/${name}.pc" @ONLY)
    install(FILES "${PROJECT_BINARY_DIR}/${name}.pc" DESTINATION "${MF_PC_DIR}")
endforeach()
