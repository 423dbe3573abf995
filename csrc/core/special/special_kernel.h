/* The loops of special.c over its bodies name_value(), included once for each instruction set (hence
 * no guard), see instruction_sets.h. */

/* `out` may be `x`, which no loop here minds, but the compiler has to be told;
 * clang warns where it was and makes no vectors, as in a sanitizer build. */
#if !defined(__clang__)
#define ELEMENTWISE _Pragma("GCC ivdep")
#elif defined(MB_ONE_INSTRUCTION_SET)
#define ELEMENTWISE
#else
#define ELEMENTWISE _Pragma("clang loop vectorize(assume_safety)")
#endif

#define LOOP(name)                                                                                 \
    static void NAME(name##_loop)(size_t n, const double *x, double *out)                          \
    {                                                                                              \
        ELEMENTWISE                                                                                \
        for (size_t i = 0; i < n; i++) {                                                           \
            out[i] = name##_value(x[i]);                                                           \
        }                                                                                          \
    }

#define LOOP_OF_TWO(name)                                                                          \
    static void NAME(name##_loop)(size_t n, const double *a, const double *count, double *out)     \
    {                                                                                              \
        ELEMENTWISE                                                                                \
        for (size_t i = 0; i < n; i++) {                                                           \
            out[i] = name##_value(a[i], count[i]);                                                 \
        }                                                                                          \
    }

LOOP(log)
LOOP(exp)
LOOP(lgamma)
LOOP(digamma)
LOOP(trigamma)
LOOP(inverse_digamma)
LOOP_OF_TWO(lgamma_difference)
LOOP_OF_TWO(digamma_difference)

#undef ELEMENTWISE
#undef LOOP
#undef LOOP_OF_TWO
