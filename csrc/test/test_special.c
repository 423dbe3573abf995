/* Checks of core/special/special.c: values known to 20 digits, laws between the
 * functions on fine grids, the ends of each range, and that an array is its
 * elements whatever its length. */
#include "core/special/special.h"
#include "test/check.h"

#include <float.h>

/* ---- Every function as one of one argument ---- */

typedef void array_function(size_t n, const double *x, double *out);

static double
value(array_function *function, double x)
{
    double out;

    function(1, &x, &out);
    return out;
}

/* ---- Known values: mpmath, 60 digits ---- */

static const struct {
    double x, lgamma, digamma, trigamma;
} known[] = {
    {1e-300, 690.77552789821370518, -9.9999999999999997494e+299, INFINITY},
    {1e-09, 20.72326583636919543, -1000000000.577215601, 999999999999999877.08},
    {0.01, 4.5994798780420217016, -100.56088545786867242, 10001.621213528312804},
    {0.3, 1.0957979948180755606, -3.5025242222001331249, 12.245364546107731301},
    {0.4999, 0.57256131860411841589, -1.9640035904016991778, 4.9364855673831688216},
    {0.5, 0.57236494292470008707, -1.9635100260214234794, 4.9348022005446793094},
    {0.75, 0.20328095143129537148, -1.0858608797864721696, 2.5418796476716064984},
    {0.9999999, 5.7721574684441928263e-8, -0.57721582939495147942, 1.6449343072596394116},
    {1.0000001, -5.772155829918507097e-8, -0.57721550040813810031, 1.6449338264368781339},
    {1.2, -0.085374090003315836884, -0.28903989659218835183, 1.2673772054237791889},
    {1.4616, -0.12148629003589732842, -3.1106251230341649658e-5, 0.96770071146508354512},
    {1.4616321449683622, -0.1214862905358496081, -9.2412655217294275168e-17, 0.967672245447621255},
    {1.4617, -0.1214862883081664837, 6.5659392293676495502e-5, 0.96761216160037303237},
    {1.499, -0.12081826006993200748, 0.035554757144716468385, 0.93563170231393560393},
    {1.75, -0.084401121020485555958, 0.24747245354686116371, 0.76410186989382872062},
    {1.999999, -4.2278401259658537019e-7, 0.42278369016419828724, 0.64493447096227969226},
    {2.0000001, 4.2278436665324979232e-8, 0.4227843995918716981, 0.64493402643684834039},
    {2.25, 0.1248717148923965943, 0.57254646662373459191, 0.55732915450711073927},
    {2.5, 0.28468287047291915963, 0.70315664064524318723, 0.49035775610023486497},
    {2.9, 0.60286961024931136757, 0.88249995063774389325, 0.41096374799332815083},
    {3.1, 0.78737508327386253378, 0.96152644487030851998, 0.38009550018651079568},
    {3.4999, 1.2008632883348162825, 1.1031236043286011179, 0.33036857685693963766},
    {3.5, 1.2009736023470742248, 1.1031566406452431872, 0.33035775610023486497},
    {3.75, 1.4868155785934170555, 1.1825373886117962286, 0.30533985269025307549},
    {3.9999, 1.7916338588803396745, 1.2560892857360205624, 0.28383095993467274495},
    {4.0, 1.7917594692280550008, 1.2561176684318004727, 0.28382295573711532536},
    {4.5, 2.4537365708424422205, 1.3888709263595289015, 0.24872510303901037518},
    {7.0, 6.5792512120101009951, 1.8727843350984671394, 0.15354517795933754758},
    {33.3, 82.603723581654943008, 3.4904672385202427773, 0.03048544409533888779},
    {100000.0, 1051287.7089736568949, 11.512920464961895087, 1.0000050000166666667e-5},
    {123456789.125, 2176716241.552195212, 18.631401763130518004, 8.100000098313751149e-9},
    {1e+300, 6.8977552789821374147e+302, 690.77552789821370526, 9.999999999999999475e-301},
};

static void
test_known_values(void)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        double x = known[i].x;

        check_close("lgamma", x, mb_lgamma1(x), known[i].lgamma, 6e-16);
        check_close("digamma", x, mb_digamma1(x), known[i].digamma, 6e-16);
        check_close("trigamma", x, mb_trigamma1(x), known[i].trigamma, 6e-16);
        check_close("inverse_digamma", known[i].digamma, mb_inverse_digamma1(known[i].digamma), x,
                    known[i].digamma < 9.5 ? 2e-15 : 2e-16 * (1 + known[i].digamma));
    }
}

static const struct {
    double a, n, lgamma, digamma;
} known_differences[] = {
    {1e-08, 0.5, -17.848315814890608811, 99999998.613705669687},
    {1e-08, 2.0, -18.420680733952365501, 100000000.99999998791},
    {1e-08, 3.5, -17.219707124801568237, 100000001.68037229031},
    {1e-08, 1000000000.0, 19723265809.08303624, 100000021.30048148281},
    {0.01, 1.0, -4.6051701859880913472, 99.999999999999997918},
    {0.01, 6.0, 0.20508210211209672811, 102.26881471833988063},
    {0.3, 2.7, -0.40265081425813009747, 4.4253085572986003301},
    {0.5, 0.01, -0.019391124994899347576, 0.048522501857847781559},
    {0.5, 40.0, 107.90071012614068397, 5.6524155189546570638},
    {0.9, 2.0, 0.53649337051456851112, 1.6374269005847952881},
    {0.9, 3.0, 1.6012041075069968619, 1.9822544867916918372},
    {0.9, 4.0, 2.9621806606425976111, 2.238664743201948246},
    {0.9, 5.0, 4.5514158657591785418, 2.4427463758550094695},
    {1.2, 1e-09, -2.8903989595849976737e-10, 1.2673772046847612112e-9},
    {1.4, 2.0, 1.2119409739751127657, 1.1309523809523810131},
    {1.7, 3.0, 2.8322128437226324922, 1.2288759347582877242},
    {2.5, 2.0, 2.1690537003695230609, 0.68571428571428571429},
    {2.9, 1.5, 1.7132338811755457845, 0.48118553278834442016},
    {3.9, 0.001, 0.0012274735515684099364, 2.9201533145035416271e-4},
    {3.9, 100.0, 375.48270830081855168, 3.4112813223209170977},
    {4.0, 0.001, 0.0012562595665715827586, 2.8378294334698529025e-4},
    {4.0, 1.0, 1.3862943611198906188, 0.25},
    {4.0, 7.25, 13.90354190783240848, 1.1191480978646795941},
    {4.1, 1000000000.0, 19723265910.550329514, 19.439158750514812439},
    {50.0, 3.0, 11.795092356733899185, 0.05883861236802413273},
    {50.0, 100000.0, 1051718.8017509383115, 7.6114306690744128895},
    {10000.0, 0.5, 4.6051576859880965764, 5.00012499999984375e-5},
    {1000000000000.0, 1.0, 27.631021115928548208, 1.0e-12},
    {1000000000000.0, 0.001, 0.027631021115928049283, 1.0000000000004995208e-15},
    {1000000000000.0, 1000000000.0, 27631520949.344665158, 9.9950033308403266731e-4},
};

static void
test_known_differences(void)
{
    for (size_t i = 0; i < sizeof known_differences / sizeof known_differences[0]; i++) {
        double a = known_differences[i].a, n = known_differences[i].n;

        double got = mb_lgamma_difference(a, n), wanted = known_differences[i].lgamma;

        check(fabs(got - wanted) <= 2e-15 * (fabs(wanted) + fmin(n, 1)), "lgamma_difference", a,
              got, wanted);
        check_close("digamma_difference", a, mb_digamma_difference(a, n),
                    known_differences[i].digamma, 1e-15);
    }
}

/* ---- Laws ---- */

static void
test_logarithm_and_exponential(void)
{
    for (int i = 0; i < 106000; i++) {
        double x = -744 + 0.0137 * i, e = value(mb_exp, x);

        check_close("exp", x, e, exp(x), e < DBL_MIN ? 5e-324 / e : 3e-16);
        check_close("log", e, value(mb_log, e), log(e), 3e-16);
    }
    for (int i = 0; i < 60000; i++) {
        double x = 0.6 + 1.7e-5 * i;

        check_close("log", x, value(mb_log, x), log(x), 3e-16);
        check_close("exp", x - 1, value(mb_exp, x - 1), exp(x - 1), 3e-16);
    }
    check(value(mb_log, 1) == 0, "log", 1, value(mb_log, 1), 0);
    check(value(mb_exp, 0) == 1, "exp", 0, value(mb_exp, 0), 1);
}

/* The recurrences of DLMF 5.5 tie every branch of a function to its neighbours. */
static void
test_recurrences(void)
{
    for (int i = 1; i < 12 << 8; i++) {
        double x = 0x1p-8 * i;
        double top = mb_lgamma1(x + 1), log_x = value(mb_log, x);

        check(fabs(top - mb_lgamma1(x) - log_x) <= 9e-16 * (1 + fabs(top) + fabs(log_x)),
              "lgamma(x + 1) - lgamma(x)", x, top - mb_lgamma1(x), log_x);
        check_close("digamma(x + 1)", x, mb_digamma1(x) + 1 / x + 4, mb_digamma1(x + 1) + 4,
                    9e-16 * (1 + 1 / x));
        check_close("trigamma(x)", x, mb_trigamma1(x + 1) + 1 / x / x, mb_trigamma1(x), 2e-15);
        for (int quarter = 0; quarter < 36; quarter++) {
            double n = 0.25 * quarter, direct = mb_lgamma1(x + n) - mb_lgamma1(x);
            double size = 1 + fabs(mb_lgamma1(x + n)) + fabs(mb_lgamma1(x));

            check(fabs(mb_lgamma_difference(x, n) - direct) <= 2e-15 * size, "lgamma_difference", x,
                  mb_lgamma_difference(x, n), direct);
            direct = mb_digamma1(x + n) - mb_digamma1(x);
            check(fabs(mb_digamma_difference(x, n) - direct) <= 3e-15 * (2 + 1 / x),
                  "digamma_difference", x, mb_digamma_difference(x, n), direct);
        }
    }
}

static void
test_inverse(void)
{
    for (int i = -4000; i < 4000; i++) {
        double x = value(mb_exp, i / 145.0), y = mb_digamma1(x);
        double condition = 1 + fabs(y) / (x * mb_trigamma1(x));

        check_close("inverse_digamma(digamma(x))", y, mb_inverse_digamma1(y), x, 1e-15 * condition);
    }
}

/* What is n times something must keep its digits as n goes to 0. */
static void
test_differences_vanish_with_n(void)
{
    static const double starts[] = {1e-8, 0.3, 1.2, 1.7, 3.9, 4, 60, 1e12};

    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        double a = starts[i], n = 0x1p-60 * a;

        check(mb_lgamma_difference(a, 0) == 0, "lgamma_difference(a, 0)", a, 1, 0);
        check(mb_digamma_difference(a, 0) == 0, "digamma_difference(a, 0)", a, 1, 0);
        check(mb_lgamma_difference(a, 1) == value(mb_log, a), "lgamma_difference(a, 1)", a,
              mb_lgamma_difference(a, 1), value(mb_log, a));
        check(mb_digamma_difference(a, 1) == 1 / a, "digamma_difference(a, 1)", a,
              mb_digamma_difference(a, 1), 1 / a);
        check_close("lgamma_difference / n", a, mb_lgamma_difference(a, n) / n, mb_digamma1(a),
                    8e-15);
        check_close("digamma_difference / n", a, mb_digamma_difference(a, n) / n, mb_trigamma1(a),
                    2e-15);
    }
}

/* ---- Ends of the ranges ---- */

static void
test_ends(void)
{
    static const struct {
        const char *name;
        array_function *function;
        double x, wanted;
    } ends[] = {
        {"log", mb_log, 0, -INFINITY},
        {"log", mb_log, 5e-324, -744.44007192138126231},
        {"log", mb_log, DBL_MAX, 709.78271289338399678},
        {"log", mb_log, INFINITY, INFINITY},
        {"exp", mb_exp, -INFINITY, 0},
        {"exp", mb_exp, -745.2, 0},
        {"exp", mb_exp, -745.1, 5e-324},
        {"exp", mb_exp, 709.79, INFINITY},
        {"exp", mb_exp, INFINITY, INFINITY},
        {"lgamma", mb_lgamma, 1, 0},
        {"lgamma", mb_lgamma, 2, 0},
        {"lgamma", mb_lgamma, 5e-324, 744.44007192138126231},
        {"lgamma", mb_lgamma, 1e305, 7.0128845336318389096e+307},
        {"lgamma", mb_lgamma, INFINITY, INFINITY},
        {"digamma", mb_digamma, 1e-300, -1e300},
        {"digamma", mb_digamma, 5e-324, -INFINITY},
        {"digamma", mb_digamma, DBL_MAX, 709.78271289338399678},
        {"digamma", mb_digamma, INFINITY, INFINITY},
        {"trigamma", mb_trigamma, 1e-150, 1e300},
        {"trigamma", mb_trigamma, 5e-324, INFINITY},
        {"trigamma", mb_trigamma, 1e300, 1e-300},
        {"trigamma", mb_trigamma, INFINITY, 0},
        {"inverse_digamma", mb_inverse_digamma, -INFINITY, 0},
        {"inverse_digamma", mb_inverse_digamma, -1e300, 1e-300},
        {"inverse_digamma", mb_inverse_digamma, -1e8, 1.0000000057721565178e-8},
        {"inverse_digamma", mb_inverse_digamma, 700, 1.0142320547350045095e+304},
        {"inverse_digamma", mb_inverse_digamma, 710, INFINITY},
        {"inverse_digamma", mb_inverse_digamma, INFINITY, INFINITY},
    };

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        check_close(ends[i].name, ends[i].x, value(ends[i].function, ends[i].x), ends[i].wanted,
                    3e-16);
    }
}

/* Any bits at all: nothing may trap. */
static void
test_any_bits(void)
{
    static const double odd[] = {NAN, -NAN, -INFINITY, -DBL_MAX, -1, -5e-324, -0.0, 0};
    double sum = 0;

    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        sum += value(mb_log, odd[i]) + value(mb_exp, odd[i]) + mb_lgamma1(odd[i]);
        sum += mb_digamma1(odd[i]) + mb_trigamma1(odd[i]) + mb_inverse_digamma1(odd[i]);
        for (size_t j = 0; j < sizeof odd / sizeof odd[0]; j++) {
            sum += mb_lgamma_difference(odd[i], odd[j]) + mb_digamma_difference(odd[i], odd[j]);
        }
    }
    (void)sum;
}

/* ---- Arrays ---- */

enum { LONGEST = 67 };

static void
check_same(const char *what, size_t n, const double *got, const double *wanted)
{
    for (size_t i = 0; i < LONGEST; i++) {
        double expected = i < n ? wanted[i] : -7;

        check(got[i] == expected, what, (double)n, got[i], expected);
    }
}

static void
test_arrays(void)
{
    static const struct {
        const char *name;
        array_function *array;
        double (*one)(double);
    } pairs[] = {
        {"mb_log", mb_log, NULL},
        {"mb_exp", mb_exp, NULL},
        {"mb_lgamma", mb_lgamma, mb_lgamma1},
        {"mb_digamma", mb_digamma, mb_digamma1},
        {"mb_trigamma", mb_trigamma, mb_trigamma1},
        {"mb_inverse_digamma", mb_inverse_digamma, mb_inverse_digamma1},
    };
    double x[LONGEST], count[LONGEST], wanted[LONGEST], out[LONGEST];

    for (size_t i = 0; i < LONGEST; i++) {
        x[i] = 0.01 + 0.003 * (double)(i * i);
        count[i] = (double)(i % 7);
    }
    for (size_t n = 0; n <= LONGEST; n++) {
        for (size_t p = 0; p < sizeof pairs / sizeof pairs[0]; p++) {
            for (size_t i = 0; i < LONGEST; i++) {
                wanted[i] = pairs[p].one ? pairs[p].one(x[i]) : value(pairs[p].array, x[i]);
                out[i] = -7;
            }
            pairs[p].array(n, x, out);
            check_same(pairs[p].name, n, out, wanted);

            for (size_t i = 0; i < LONGEST; i++) {
                out[i] = i < n ? x[i] : -7;
            }
            pairs[p].array(n, out, out); /* in place */
            check_same(pairs[p].name, n, out, wanted);
        }
        for (size_t i = 0; i < LONGEST; i++) {
            wanted[i] = mb_lgamma_difference(x[i], count[i]);
            out[i] = -7;
        }
        mb_lgamma_differences(n, x, count, out);
        check_same("mb_lgamma_differences", n, out, wanted);
        for (size_t i = 0; i < LONGEST; i++) {
            wanted[i] = mb_digamma_difference(x[i], count[i]);
            out[i] = -7;
        }
        mb_digamma_differences(n, x, count, out);
        check_same("mb_digamma_differences", n, out, wanted);
    }
}

int
main(void)
{
    test_known_values();
    test_known_differences();
    test_logarithm_and_exponential();
    test_recurrences();
    test_inverse();
    test_differences_vanish_with_n();
    test_ends();
    test_any_bits();
    test_arrays();
    return report();
}
