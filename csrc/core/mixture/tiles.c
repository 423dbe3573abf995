/* The E-step's matrix products, compiled for each instruction set and chosen at each call. */
#include "core/mixture/tiles.h"

#include <stdint.h>

enum { MAX_TILE = 24, MAX_SIDE = 8, AHEAD = 4096, AHEAD_COLUMNS = 64 };

/* Fused multiply-adds: these are plain sums of products. */
#include "core/base/contract.h"

/* Keeps gcc from loading a vector again for each of its uses; a third faster with
 * AVX-512, where loads are the limit. */
#if defined(__x86_64__) && !defined(__clang__)
#define IN_REGISTER(vector) __asm__("" : "+v"(vector))
#else
#define IN_REGISTER(vector)
#endif

/* Asks for memory that may lie behind an array: by an integer, as no pointer may. */
#define PREFETCH(data, offset, locality)                                                           \
    __builtin_prefetch((const void *)((uintptr_t)(data) + (offset)), 0, locality)

#define WIDE (LANES == 8 ? 8 : 4) /* the most components of a tile */
#define KERNEL "core/mixture/tiles_kernel.h"
#include "core/base/instruction_sets.h"

mb_status
mb_tile_densities(const mb_block *x, const mb_factors *factors, mb_interrupt *interrupt,
                  double *joint)
{
    return CHOOSE(tile_densities, x, factors, interrupt, joint);
}

mb_status
mb_tile_sums(const mb_block *x, size_t n_components, const double *shares, mb_interrupt *interrupt,
             double *sums)
{
    return CHOOSE(tile_sums, x, n_components, shares, interrupt, sums);
}
