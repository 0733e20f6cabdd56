# Writes the Lua files FILES as byte arrays into the C file OUT. Run with cmake -P.
# bindings/moonfork/pool.lua becomes the module "moonfork.pool", .../init.lua "moonfork".

set(arrays "")
set(entries "")
set(count 0)
foreach(file IN LISTS FILES)
    get_filename_component(stem "${file}" NAME_WE)
    set(name "moonfork.${stem}")
    if(stem STREQUAL "init")
        set(name "moonfork")
    endif()
    file(SIZE "${file}" size)
    file(READ "${file}" hex HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
    string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)"
           "\\1\n" bytes "${bytes}")
    # The final 0 keeps an empty file a valid array; it is not counted in the size.
    string(APPEND arrays "static const unsigned char text_${count}[] = {\n${bytes}0};\n\n")
    string(APPEND entries "    {\"${name}\", text_${count}, ${size}},\n")
    math(EXPR count "${count} + 1")
endforeach()

file(WRITE "${OUT}" "/* Generated from bindings/moonfork/*.lua by bindings/embed.cmake. */

#include <stddef.h>

struct mf__embedded {
    const char *name;
    const unsigned char *text;
    size_t size;
};

extern const struct mf__embedded mf__embedded_modules[];

${arrays}const struct mf__embedded mf__embedded_modules[] = {
${entries}    {NULL, NULL, 0},
};
")
