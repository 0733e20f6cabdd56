/* error.c - the table of error.h as text. */
#include "error.h"

const char *mf_error_name(int code)
{
    switch (code) {
#define MF_ERROR_NAME(code_, value, name, text)                                                    \
    case code_: return name;
        MF_ERRORS(MF_ERROR_NAME)
#undef MF_ERROR_NAME
    default: return code >= 0 ? "ok" : "error";
    }
}

const char *mf_error_text(int code)
{
    switch (code) {
#define MF_ERROR_TEXT(code_, value, name, text)                                                    \
    case code_: return text;
        MF_ERRORS(MF_ERROR_TEXT)
#undef MF_ERROR_TEXT
    default: return code >= 0 ? "no error" : "unknown error";
    }
}
