/* One fading count.  It stands for what it was at a time of its row's clock: what it lost since is asked
 * for, never written.
 *
 *     now   = count * discount^(clock - time)
 *     token : count += discount^-(clock - time)
 *
 * Each token adds a power that is rounded once, and the sum keeps what rounding takes off it: a million
 * of them are as exact as one.  Before the power is large the count moves on to a later time; when that
 * is follows from the clock alone, and nothing underflows before it is nothing. */
#ifndef MB_FADING_CELL_H
#define MB_FADING_CELL_H

#include <math.h>
#include <stdint.h>

/* What fades below is no count any more. */
#define MB_VANISHED 1e-300

typedef struct {
    double count, rest; /* the rest is what its sum has lost by rounding */
    uint64_t time;
} mb_fading_cell;

/* Counts move on to times that are multiples of this: tokens that make a power of about 2^200. */
uint64_t mb_fading_span(double discount);

/* The age up to which no count of MB_LASTING or more has vanished. */
#define MB_LASTING 1e-100
uint64_t mb_fading_lasts(double discount);

/* What a count is `age` tokens later. */
static inline double
mb_faded(double discount, double count, uint64_t age)
{
    if (age == 0 || discount == 1.0) {
        return count;
    }
    double share = age == 1 ? discount : pow(discount, (double)age), now = count * share;
    if (share < 1e-280 && age > 1) {
        /* a share that underflows may leave something of a large count */
        uint64_t half = age / 2;
        now = count * pow(discount, (double)half) * pow(discount, (double)(age - half));
    }
    return now < MB_VANISHED ? 0.0 : now;
}

/* What a count is now; 0 below MB_VANISHED unless it is of now. */
static inline double
mb_fading_now(double discount, mb_fading_cell cell, uint64_t clock)
{
    return mb_faded(discount, cell.count + cell.rest, clock - cell.time);
}

/* A count after its token, which brought the clock to what it is. */
mb_fading_cell mb_fading_tick(double discount, uint64_t span, mb_fading_cell cell, uint64_t clock);

#endif
