#include "engine/geohash.h"

#include <math.h>

#define EARTH_RADIUS 6372797.560856
#define MERCATOR_MAX 20037726.37
#define RADIANS      (M_PI / 180.0)

/* A cell of 2^steps by 2^steps. */
struct cell {
    uint32_t lat, lon;
    unsigned steps;
};

struct box {
    struct geohash_point min, max;
};

static uint64_t spread(uint32_t x)
{
    uint64_t bits = 0;

    for (unsigned i = 0; i < 32; i++)
        bits |= (uint64_t)(x >> i & 1) << 2 * i;
    return bits;
}

static uint32_t gather(uint64_t bits)
{
    uint32_t x = 0;

    for (unsigned i = 0; i < 32; i++)
        x |= (uint32_t)(bits >> 2 * i & 1) << i;
    return x;
}

static uint64_t number_of(struct cell c)
{
    return spread(c.lat) | spread(c.lon) << 1;
}

static struct cell cell_of(struct geohash_point p, double lat_max, unsigned steps)
{
    double lat = (p.lat + lat_max) / (2 * lat_max), lon = (p.lon + GEOHASH_LON_MAX) / (2 * GEOHASH_LON_MAX);
    double cells = (double)(UINT64_C(1) << steps);

    return (struct cell){(uint32_t)(lat * cells), (uint32_t)(lon * cells), steps};
}

uint64_t geohash_encode(struct geohash_point p, double lat_max)
{
    return number_of(cell_of(p, lat_max, GEOHASH_STEPS));
}

static struct box box_of(struct cell c)
{
    const double cells = (double)(UINT64_C(1) << c.steps);
    const double lats = 2 * GEOHASH_LAT_MAX, lons = 2 * GEOHASH_LON_MAX;

    return (struct box){
        {-GEOHASH_LON_MAX + (c.lon * 1.0 / cells) * lons, -GEOHASH_LAT_MAX + (c.lat * 1.0 / cells) * lats},
        {-GEOHASH_LON_MAX + ((c.lon + 1.0) / cells) * lons,
         -GEOHASH_LAT_MAX + ((c.lat + 1.0) / cells) * lats}};
}

static double clamped(double x, double most)
{
    return x > most ? most : x < -most ? -most : x;
}

/* As x86 turns doubles into 64 bits: negative ones wrap, and what doesn't fit becomes one fixed number. */
static uint64_t bits_of(double score)
{
    if (score >= -0x1p63 && score < 0x1p63)
        return (uint64_t)(int64_t)score;
    if (score >= 0x1p63 && score < 0x1p64)
        return (uint64_t)score;
    return score > 0 ? 0 : UINT64_C(1) << 63;
}

struct geohash_point geohash_decode(double score)
{
    uint64_t bits = bits_of(score);
    struct box b = box_of((struct cell){gather(bits), gather(bits >> 1), GEOHASH_STEPS});

    return (struct geohash_point){clamped((b.min.lon + b.max.lon) / 2, GEOHASH_LON_MAX),
                                  clamped((b.min.lat + b.max.lat) / 2, GEOHASH_LAT_MAX)};
}

static double lat_distance(double a, double b)
{
    return EARTH_RADIUS * fabs(b * RADIANS - a * RADIANS);
}

/* The haversine formula. */
double geohash_distance(struct geohash_point a, struct geohash_point b)
{
    double lat1 = a.lat * RADIANS, lat2 = b.lat * RADIANS;
    double v = sin((b.lon * RADIANS - a.lon * RADIANS) / 2);

    if (v == 0)
        return lat_distance(a.lat, b.lat);
    double u = sin((lat2 - lat1) / 2);
    return 2 * EARTH_RADIUS * asin(sqrt(u * u + cos(lat1) * cos(lat2) * v * v));
}

bool geohash_within(const struct geohash_shape *shape, struct geohash_point p, double *ret_distance)
{
    if (shape->box) {
        struct geohash_point beside = {shape->center.lon, p.lat};
        if (lat_distance(p.lat, shape->center.lat) > shape->height / 2 ||
            geohash_distance(p, beside) > shape->width / 2)
            return false;
    }
    *ret_distance = geohash_distance(shape->center, p);
    return shape->box || *ret_distance <= shape->radius;
}

/* ---- covering ---- */

/* How fine a grid may be for its cells not to be smaller than the radius; near the poles cells are narrow. */
static unsigned steps_for(double radius, double lat)
{
    int steps = 1;

    if (radius == 0)
        return GEOHASH_STEPS;
    for (; radius < MERCATOR_MAX; radius *= 2)
        steps++;
    steps -= 2 + (fabs(lat) > 66) + (fabs(lat) > 80);
    return steps < 1 ? 1 : steps > GEOHASH_STEPS ? GEOHASH_STEPS : (unsigned)steps;
}

static struct box bounds_of(const struct geohash_shape *s)
{
    double height = s->box ? s->height / 2 : s->radius, width = s->box ? s->width / 2 : s->radius;
    double lat = height / EARTH_RADIUS / RADIANS;
    double widest = s->center.lat < 0 ? s->center.lat - lat : s->center.lat + lat;
    double lon = width / EARTH_RADIUS / cos(widest * RADIANS) / RADIANS;

    return (struct box){{s->center.lon - lon, s->center.lat - lat},
                        {s->center.lon + lon, s->center.lat + lat}};
}

/* What isn't moved may lie one cell beyond the grid: 180 degrees east are cell 2^steps. */
static uint32_t moved(uint32_t at, int by, unsigned steps)
{
    return by == 0 ? at : (at + (uint32_t)by) & (uint32_t)((UINT64_C(1) << steps) - 1);
}

static struct cell beside(struct cell c, int lat, int lon)
{
    return (struct cell){moved(c.lat, lat, c.steps), moved(c.lon, lon, c.steps), c.steps};
}

/* Whether the cells around the center's don't reach the bounds. */
static bool too_fine(struct cell c, const struct box *bounds)
{
    return box_of(beside(c, 1, 0)).max.lat < bounds->max.lat ||
           box_of(beside(c, -1, 0)).min.lat > bounds->min.lat ||
           box_of(beside(c, 0, 1)).max.lon < bounds->max.lon ||
           box_of(beside(c, 0, -1)).min.lon > bounds->min.lon;
}

/* A neighbour on a side where the center's cell already goes beyond the bounds. */
static bool is_useless(const struct box *center, const struct box *bounds, int lat, int lon)
{
    return (lat < 0 && center->min.lat < bounds->min.lat) || (lat > 0 && center->max.lat > bounds->max.lat) ||
           (lon < 0 && center->min.lon < bounds->min.lon) || (lon > 0 && center->max.lon > bounds->max.lon);
}

static double edge(uint64_t number, unsigned steps)
{
    return (double)(number << (2 * GEOHASH_STEPS - 2 * steps));
}

unsigned geohash_cover(const struct geohash_shape *shape, struct geohash_scores ret[static GEOHASH_NEARBY])
{
    static const struct {
        int lat, lon;
    } around[GEOHASH_NEARBY] = {{0, 0}, {1, 0}, {-1, 0}, {0, 1}, {0, -1}, {1, 1}, {1, -1}, {-1, 1}, {-1, -1}};
    struct box bounds = bounds_of(shape);
    double radius =
        shape->box ? sqrt((shape->width / 2) * (shape->width / 2) + (shape->height / 2) * (shape->height / 2))
                   : shape->radius;
    unsigned steps = steps_for(radius, shape->center.lat), n = 0, last = 0;
    struct cell center = cell_of(shape->center, GEOHASH_LAT_MAX, steps);
    uint64_t last_number = 0;

    if (steps > 1 && too_fine(center, &bounds))
        center = cell_of(shape->center, GEOHASH_LAT_MAX, --steps);
    struct box middle = box_of(center);
    for (unsigned i = 0; i < GEOHASH_NEARBY; i++) {
        if (steps >= 2 && is_useless(&middle, &bounds, around[i].lat, around[i].lon))
            continue;
        uint64_t number = number_of(beside(center, around[i].lat, around[i].lon));
        if (last > 0 && number == last_number)
            continue; /* a coarse grid has no nine different cells; only repetitions at once are left out */
        ret[n++] = (struct geohash_scores){edge(number, steps), edge(number + 1, steps)};
        last = i;
        last_number = number;
    }
    return n;
}
