#include "engine/cardinality.h"

#include <math.h>
#include <string.h>

#define HASH_SEED 0xadc83b19u
#define RANK_BITS 50 /* of the hash, beside the 14 that choose the register */

/* MurmurHash64A, by Austin Appleby. */
static uint64_t hash_of(struct slice s)
{
    const uint64_t m = 0xc6a4a7935bd1e995u;
    uint64_t h = HASH_SEED ^ (s.len * m), k = 0;
    size_t i = 0;

    for (; i + 8 <= s.len; i += 8) {
        memcpy(&k, s.p + i, 8);
        k *= m;
        k ^= k >> 47;
        h = (h ^ k * m) * m;
    }
    if (i < s.len) {
        k = 0;
        memcpy(&k, s.p + i, s.len - i);
        h = (h ^ k) * m;
    }
    h = (h ^ h >> 47) * m;
    return h ^ h >> 47;
}

unsigned cardinality_register(struct slice element, uint8_t *ret_value)
{
    uint64_t h = hash_of(element);

    *ret_value = (uint8_t)(__builtin_ctzll(h / CARDINALITY_REGISTERS | (uint64_t)1 << RANK_BITS) + 1);
    return h % CARDINALITY_REGISTERS;
}

/* tau and sigma of the estimator: O. Ertl, "New cardinality estimation algorithms for HyperLogLog sketches",
 * 2017, which Redis uses too. */
static double tau(double x)
{
    double power = 1, sum = 1 - x, before;

    if (x == 0 || x == 1)
        return 0;
    do {
        before = sum;
        x = sqrt(x);
        power /= 2;
        sum -= (1 - x) * (1 - x) * power;
    } while (sum != before);
    return sum / 3;
}

static double sigma(double x)
{
    double power = 1, sum = x, before;

    if (x == 1)
        return INFINITY;
    do {
        before = sum;
        x *= x;
        sum += x * power;
        power += power;
    } while (sum != before);
    return sum;
}

int64_t cardinality_estimate(const uint8_t *registers)
{
    unsigned many[CARDINALITY_VALUES] = {0};
    double m = CARDINALITY_REGISTERS, sum;

    for (unsigned i = 0; i < CARDINALITY_REGISTERS; i++)
        many[registers[i]]++;
    sum = m * tau((m - many[RANK_BITS + 1]) / m);
    for (unsigned value = RANK_BITS; value >= 1; value--)
        sum = (sum + many[value]) / 2;
    sum += m * sigma(many[0] / m);
    return llroundl(0.5 / M_LN2 * m * m / sum);
}
