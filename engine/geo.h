/* engine/geo — what the commands of places share.
 * Threads: one.          Used by: geo, geosearch. */
#ifndef ENGINE_GEO_H
#define ENGINE_GEO_H

#include "engine/call.h"
#include "engine/geohash.h"

/* Longitude and latitude at two arguments from `arg` on. False: answered, as for all of these. */
bool geo_point_arg(struct call *c, size_t arg, struct geohash_point *ret);
/* Metres of one unit: m, km, ft, mi. */
bool geo_unit_arg(struct call *c, size_t arg, double *ret_metres);
/* The place of a member; false: there is none, nothing answered. */
bool geo_member(const struct object *o, struct slice member, struct geohash_point *ret);
/* Longitude and latitude, an array. */
void geo_answer_point(struct call *c, struct geohash_point p);
/* With four digits. */
void geo_answer_distance(struct call *c, double distance);

#endif
