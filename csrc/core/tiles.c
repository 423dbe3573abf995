/* The E-step's matrix products, compiled for each instruction set and chosen at each call.
 *
 * They are written with the compiler's portable vectors, because no compiler
 * keeps a tile of auto-vectorised accumulators in registers; and included once
 * for each set rather than cloned (MB_CLONES), because gcc lowers portable
 * vectors before it clones. */
#include "tiles.h"

#include "status.h"

enum { MAX_TILE = 24, MAX_SIDE = 8, AHEAD = 4096, AHEAD_COLUMNS = 64 };

/* Fused multiply-adds: these are plain sums of products. */
#if defined(__clang__)
#pragma clang fp contract(fast)
#else
#pragma GCC optimize("fp-contract=fast")
#endif

#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define UNROLL _Pragma("GCC unroll 32")
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (NAME(order)){__VA_ARGS__})
#endif

/* Keeps gcc from loading a vector again for each of its uses; a third faster with
 * AVX-512, where loads are the limit. */
#if defined(__x86_64__) && !defined(__clang__)
#define IN_REGISTER(vector) __asm__("" : "+v"(vector))
#else
#define IN_REGISTER(vector)
#endif

#define LANES 2
#define WIDE 4
#define NAME(x) x##_any
#include "tiles_kernel.h"
#undef NAME
#undef WIDE
#undef LANES

#if defined(MB_HAVE_CLONES)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define LANES 4
#define WIDE 4
#define NAME(x) x##_avx2
#include "tiles_kernel.h"
#undef NAME
#undef WIDE
#undef LANES
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f")
#endif
#define LANES 8
#define WIDE 8
#define NAME(x) x##_avx512
#include "tiles_kernel.h"
#undef NAME
#undef WIDE
#undef LANES
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#define CHOOSE(kernel, ...)                                                                        \
    (__builtin_cpu_supports("avx512f") ? kernel##_avx512(__VA_ARGS__)                              \
     : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")                             \
         ? kernel##_avx2(__VA_ARGS__)                                                              \
         : kernel##_any(__VA_ARGS__))
#else
#define CHOOSE(kernel, ...) kernel##_any(__VA_ARGS__)
#endif

void
mb_tile_densities(const mb_block *x, const mb_factors *factors, double *joint)
{
    CHOOSE(tile_densities, x, factors, joint);
}

void
mb_tile_sums(const mb_block *x, size_t n_components, const double *shares, double *sums)
{
    CHOOSE(tile_sums, x, n_components, shares, sums);
}
