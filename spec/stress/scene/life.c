#include "scene.h"
const struct primitive life_primitives[] = {{0}};
