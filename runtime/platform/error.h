/* error.h - the outcomes of runtime functions, which are public: see moonfork_error.h. */
#ifndef MF_ERROR_H
#define MF_ERROR_H

#include "moonfork_error.h"

#endif
