#include "backends/redis/faults.h"

struct valve *redis_valve(void)
{
    static struct valve valve;
    return &valve;
}
