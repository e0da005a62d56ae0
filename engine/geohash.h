/* engine/geohash — places on the earth as cells of a grid: a cell's number has the bits of latitude and longitude in turns.
 * Source:  Redis's numbers: 26 bits each, latitudes of Web Mercator, a sphere with R = 6372797.560856 m.
 * Threads: any.          Used by: geo, geosearch. */
#ifndef ENGINE_GEOHASH_H
#define ENGINE_GEOHASH_H

#include <stdbool.h>
#include <stdint.h>

#define GEOHASH_STEPS    26 /* of scores: bits of each coordinate */
#define GEOHASH_LON_MAX  180.0
#define GEOHASH_LAT_MAX  85.05112878
#define GEOHASH_NEARBY   9

struct geohash_point {
    double lon, lat; /* degrees */
};

struct geohash_shape {
    bool box;
    struct geohash_point center;
    double radius;        /* metres */
    double width, height; /* metres, of a box */
};

/* The number of the cell of 2 * GEOHASH_STEPS bits; lat_max: 90 or GEOHASH_LAT_MAX. */
uint64_t geohash_encode(struct geohash_point p, double lat_max);
/* The middle of the cell that a score names, whatever the score is. */
struct geohash_point geohash_decode(double score);
double geohash_distance(struct geohash_point a, struct geohash_point b); /* metres */
/* Whether p lies in the shape; *ret_distance from its center. */
bool geohash_within(const struct geohash_shape *shape, struct geohash_point p, double *ret_distance);

struct geohash_scores {
    double from, to; /* without `to` */
};
/* The cells that cover the shape, in the order in which Redis searches them; returns how many. */
unsigned geohash_cover(const struct geohash_shape *shape, struct geohash_scores ret[static GEOHASH_NEARBY]);

#endif
