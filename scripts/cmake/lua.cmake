# Finds Lua 5.4 and lua-cjson by pkg-config, under the names that distributions give them.
#
#   mf_lua         headers only: for the module, which finds Lua's functions in its host
#   mf_lua_linked  the library, whole and static where there is one: for the command
#   mf_cjson       lua-cjson's archive; absent where the system has none

find_package(PkgConfig REQUIRED)
pkg_search_module(LUA QUIET lua5.4>=5.4 lua-5.4>=5.4 lua54>=5.4 lua>=5.4)
if(NOT LUA_FOUND OR LUA_VERSION VERSION_GREATER_EQUAL 5.5)
    message(FATAL_ERROR
        "Lua 5.4 was not found by pkg-config (tried lua5.4, lua-5.4, lua54, lua). "
        "On Debian and Ubuntu: apt-get install liblua5.4-dev")
endif()
pkg_get_variable(LUA_LIBDIR "${LUA_MODULE_NAME}" libdir)

add_library(mf_lua INTERFACE)
target_include_directories(mf_lua SYSTEM INTERFACE ${LUA_INCLUDE_DIRS})

# Every function of the C API must be in the command, used by it or not: C modules look there.
find_library(MF_LUA_ARCHIVE NAMES liblua5.4.a liblua-5.4.a liblua54.a liblua.a
             HINTS "${LUA_LIBDIR}" ${LUA_LIBRARY_DIRS})
add_library(mf_lua_linked INTERFACE)
target_link_libraries(mf_lua_linked INTERFACE mf_lua)
if(MF_LUA_ARCHIVE)
    target_link_options(mf_lua_linked INTERFACE
        "LINKER:--whole-archive,${MF_LUA_ARCHIVE},--no-whole-archive")
    target_link_libraries(mf_lua_linked INTERFACE m ${CMAKE_DL_LIBS})
    message(STATUS "Lua ${LUA_VERSION}: ${MF_LUA_ARCHIVE}")
else()
    target_link_libraries(mf_lua_linked INTERFACE ${LUA_LINK_LIBRARIES} m ${CMAKE_DL_LIBS})
    message(STATUS "Lua ${LUA_VERSION}: no static library, the command links ${LUA_LINK_LIBRARIES}")
endif()

find_library(MF_CJSON_ARCHIVE NAMES liblua5.4-cjson.a HINTS "${LUA_LIBDIR}")
if(MF_CJSON_ARCHIVE)
    add_library(mf_cjson INTERFACE)
    target_link_libraries(mf_cjson INTERFACE "${MF_CJSON_ARCHIVE}" m)
    message(STATUS "lua-cjson: ${MF_CJSON_ARCHIVE}, built into the command")
else()
    message(STATUS "lua-cjson: no static library; require \"cjson\" searches package.cpath "
                   "(on Debian and Ubuntu: apt-get install lua-cjson-dev)")
endif()
