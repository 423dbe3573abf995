/* Includes the file KERNEL once for each instruction set; CHOOSE calls the best at hand.
 *
 * A kernel is a file of loops, branch-free or in the compiler's portable vectors.  It sees LANES, the
 * doubles of a vector register, and NAME(x), x with a suffix, for all that it defines: static
 * functions, of which CHOOSE(x, ...) calls one.  (Included, not cloned by target_clones: gcc lowers
 * portable vectors before it clones, and a clone is resolved before a sanitizer has started.)
 *
 * Builds that count branches or look for errors set MB_ONE_INSTRUCTION_SET: there is then one. */
#include "core/base/status.h"

#if defined(__clang__)
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (NAME(order)){__VA_ARGS__})
#endif

#define LANES 2
#define NAME(x) x##_any
#include KERNEL
#undef NAME
#undef LANES

#if defined(__x86_64__) && !defined(MB_ONE_INSTRUCTION_SET)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define LANES 4
#define NAME(x) x##_avx2
#include KERNEL
#undef NAME
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
#define NAME(x) x##_avx512
#include KERNEL
#undef NAME
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
