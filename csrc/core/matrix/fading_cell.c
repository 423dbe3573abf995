/* One fading count: after one more token. */
#include "core/matrix/fading_cell.h"

#include "core/base/exact_sum.h"

#include <math.h>

uint64_t
mb_fading_span(double discount)
{
    double tokens = discount < 1.0 ? 139.0 / -log(discount) : 0x1p62;
    return tokens < 1.0 ? 1 : (uint64_t)tokens;
}

uint64_t
mb_fading_lasts(double discount)
{
    double tokens = discount < 1.0 ? 400.0 / -log(discount) : 0x1p62;
    return tokens < 0x1p62 ? (uint64_t)tokens : (uint64_t)1 << 62;
}

mb_fading_cell
mb_fading_tick(double discount, uint64_t span, mb_fading_cell cell, uint64_t clock)
{
    const uint64_t turn = clock - clock % span;
    /* what has vanished may be left out at any time, so that nothing may depend on it */
    int is_safe = cell.count >= MB_LASTING && clock - cell.time < span;
    if (!is_safe && mb_fading_now(discount, cell, clock) == 0.0) {
        return (mb_fading_cell){1.0, 0.0, clock};
    }
    mb_exact_sum sum = {cell.count, cell.rest};
    if (cell.time < turn) {
        sum.sum = mb_faded(discount, cell.count, turn - cell.time);
        sum.rest = cell.rest / cell.count * sum.sum;
        cell.time = turn;
    }
    uint64_t age = clock - cell.time;
    mb_exact_add(&sum, age == 0 ? 1.0 : pow(discount, -(double)age));
    return (mb_fading_cell){sum.sum, sum.rest, cell.time};
}
