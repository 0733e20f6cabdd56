# mf_flags: what every C file of the project is compiled with.

add_library(mf_flags INTERFACE)
# Defined as empty, so that a source file may say the same for itself.
target_compile_definitions(mf_flags INTERFACE _GNU_SOURCE=)
target_compile_options(mf_flags INTERFACE
    -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
    $<$<BOOL:${MF_WERROR}>:-Werror>)
target_link_libraries(mf_flags INTERFACE Threads::Threads)

if(MF_FAULTS)
    target_compile_definitions(mf_flags INTERFACE MF_FAULTS=1)
endif()

if(MF_SANITIZE STREQUAL "address")
    set(MF_SANITIZE_FLAGS -fsanitize=address,undefined -fno-sanitize-recover=undefined)
elseif(MF_SANITIZE STREQUAL "thread")
    set(MF_SANITIZE_FLAGS -fsanitize=thread)
elseif(MF_SANITIZE)
    message(FATAL_ERROR "MF_SANITIZE is \"${MF_SANITIZE}\"; it may be empty, address or thread")
endif()
if(MF_SANITIZE)
    # With the assertions, which a release build leaves out.
    target_compile_options(mf_flags INTERFACE
        ${MF_SANITIZE_FLAGS} -fno-omit-frame-pointer -UNDEBUG)
    target_link_options(mf_flags INTERFACE ${MF_SANITIZE_FLAGS})
endif()

# What libFuzzer steers by. Where there is no AddressSanitizer, undefined behaviour still traps.
if(MF_FUZZ)
    if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
        message(FATAL_ERROR "MF_FUZZ needs clang: libFuzzer is a part of it")
    endif()
    # Without the tracing of comparisons, which takes half of the time; there are dictionaries.
    target_compile_options(mf_flags INTERFACE
        -fsanitize=fuzzer-no-link -fno-sanitize-coverage=trace-cmp)
    if(NOT MF_SANITIZE)
        target_compile_options(mf_flags INTERFACE
            -fsanitize=undefined -fsanitize-trap=undefined -UNDEBUG)
    endif()
endif()

# Unoptimised, so that a branch in the source is one in the program.
if(MF_COVERAGE)
    if(NOT CMAKE_C_COMPILER_ID STREQUAL "GNU" OR CMAKE_C_COMPILER_VERSION VERSION_LESS 12)
        message(FATAL_ERROR "MF_COVERAGE needs gcc, 12 or later")
    endif()
    target_compile_options(mf_flags INTERFACE -O0 -g -fprofile-arcs -ftest-coverage
        -fprofile-update=atomic -fprofile-info-section=mf_profiles -fdata-sections)
    add_library(mf_coverage STATIC "${PROJECT_SOURCE_DIR}/spec/coverage/counters.c")
    target_compile_definitions(mf_coverage PRIVATE _GNU_SOURCE)
    target_link_libraries(mf_coverage PRIVATE gcov)
    target_link_options(mf_flags INTERFACE
        "LINKER:-u,mf_coverage_is_linked" "LINKER:-T,${PROJECT_SOURCE_DIR}/spec/coverage/counters.ld")
    target_link_libraries(mf_flags INTERFACE mf_coverage)
endif()

# Symbols are looked up once at the start: a fresh child would pay for each again (a page fault and
# a search; 70 us a child altogether).
target_link_options(mf_flags INTERFACE "LINKER:-z,now")
