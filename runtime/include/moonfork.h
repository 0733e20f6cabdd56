#ifndef MOONFORK_H
#define MOONFORK_H
#define MF_VERSION "0.1.0"
#endif
