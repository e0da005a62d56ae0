/* engine/internal — what the engine's files share: the prototypes of all handlers, made from their rows. */
#ifndef ENGINE_INTERNAL_H
#define ENGINE_INTERNAL_H

#include "engine/call.h"

#define ENGINE(name, handler) void handler(struct call *c);
#include "engine/engine.def"
#undef ENGINE

#endif
