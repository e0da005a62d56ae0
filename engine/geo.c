#include "engine/geo.h"
#include "engine/internal.h"
#include "engine/number.h"
#include "engine/zsets.h"

#include <math.h>
#include <stdio.h>

/* Places: adding and reading. They are sorted sets whose scores are cells (engine/geohash). Searching is in
 * geosearch.c. */

bool geo_point_arg(struct call *c, size_t arg, struct geohash_point *ret)
{
    if (!call_double_arg(c, arg, &ret->lon, NULL) || !call_double_arg(c, arg + 1, &ret->lat, NULL))
        return false;
    if (fabs(ret->lon) <= GEOHASH_LON_MAX && fabs(ret->lat) <= GEOHASH_LAT_MAX)
        return true;
    call_errorf(c, "ERR invalid longitude,latitude pair %f,%f", ret->lon, ret->lat);
    return false;
}

bool geo_unit_arg(struct call *c, size_t arg, double *ret_metres)
{
    static const struct {
        const char *word;
        double metres;
    } units[] = {{"m", 1}, {"km", 1000}, {"ft", 0.3048}, {"mi", 1609.34}};

    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (call_is(c, arg, units[i].word)) {
            *ret_metres = units[i].metres;
            return true;
        }
    call_error(c, "ERR unsupported unit provided. please use M, KM, FT, MI");
    return false;
}

bool geo_member(const struct object *o, struct slice member, struct geohash_point *ret)
{
    int64_t at = o != NULL ? zset_find(o->v.zset, member) : -1;

    if (at >= 0)
        *ret = geohash_decode(o->v.zset->rows[at].score);
    return at >= 0;
}

static void answer_coordinate(struct call *c, double degrees)
{
    char text[NUMBER_TEXT];
    size_t n = number_print_human(text, degrees);

    build_double(c->out, c->resp, text, n);
}

void geo_answer_point(struct call *c, struct geohash_point p)
{
    build_array(c->out, 2);
    answer_coordinate(c, p.lon);
    answer_coordinate(c, p.lat);
}

void geo_answer_distance(struct call *c, double distance)
{
    char text[512];
    int n = snprintf(text, sizeof text, "%.4f", distance);

    build_bulk(c->out, text, (size_t)n);
}

void geo_geoadd(struct call *c)
{
    struct zsets_add how = {0};
    size_t arg = 2;

    for (; arg < c->argc; arg++) {
        bool nx = call_is(c, arg, "nx"), xx = call_is(c, arg, "xx"), ch = call_is(c, arg, "ch");
        if (!nx && !xx && !ch)
            break;
        how.nx |= nx;
        how.xx |= xx;
        how.ch |= ch;
    }
    size_t n = (c->argc - arg) / 3;
    if ((c->argc - arg) % 3 != 0 || (how.nx && how.xx) || n == 0) {
        call_syntax_error(c);
        return;
    }
    double *scores = arena_get(c->arena, n * sizeof *scores);
    struct slice *members = arena_get(c->arena, n * sizeof *members);
    for (size_t i = 0; i < n; i++, arg += 3) {
        struct geohash_point p;
        if (!geo_point_arg(c, arg, &p))
            return;
        scores[i] = (double)geohash_encode(p, GEOHASH_LAT_MAX);
        members[i] = c->argv[arg + 2];
    }
    zsets_add_all(c, &how, scores, members, n);
}

/* An array with one answer for each member that argument 2 and those behind it name. */
static void answer_each(struct call *c, void (*answer)(struct call *c, struct geohash_point p),
                        void (*nothing)(struct call *c))
{
    bool wrong;
    struct geohash_point p;
    struct object *o = zsets_of(c, &wrong);

    if (wrong)
        return;
    build_array(c->out, c->argc - 2);
    for (size_t i = 2; i < c->argc; i++) {
        if (geo_member(o, c->argv[i], &p))
            answer(c, p);
        else
            nothing(c);
    }
}

void geo_geopos(struct call *c)
{
    answer_each(c, geo_answer_point, call_null_array);
}

void geo_geodist(struct call *c)
{
    bool wrong;
    double metres = 1;
    struct geohash_point a, b;

    if (c->argc > 5) {
        call_syntax_error(c);
        return;
    }
    if (c->argc == 5 && !geo_unit_arg(c, 4, &metres))
        return;
    struct object *o = zsets_of(c, &wrong);
    if (wrong)
        return;
    if (geo_member(o, c->argv[2], &a) && geo_member(o, c->argv[3], &b))
        geo_answer_distance(c, geohash_distance(a, b) / metres);
    else
        call_null(c);
}

/* The standard's text, whose latitudes reach the poles: ten letters of 5 bits, the eleventh has none left. */
static void answer_hash(struct call *c, struct geohash_point p)
{
    static const char letters[] = "0123456789bcdefghjkmnpqrstuvwxyz";
    uint64_t bits = geohash_encode(p, 90);
    char text[11];

    for (unsigned i = 0; i < 10; i++)
        text[i] = letters[bits >> (2 * GEOHASH_STEPS - 5 * (i + 1)) & 31];
    text[10] = letters[0];
    build_bulk(c->out, text, sizeof text);
}

void geo_geohash(struct call *c)
{
    answer_each(c, answer_hash, call_null);
}
