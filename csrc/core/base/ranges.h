/* The legal range of what a mixture is made of and what it sees: checked by whoever takes them
 * from outside, and what the core computes is right inside it. */
#ifndef MB_RANGES_H
#define MB_RANGES_H

/* An alpha is no less: its psi and the logarithms of its gamma variates, near -1 / alpha, and sums
 * of millions of them are finite. */
#define MB_LEAST_ALPHA 1e-300

/* A sum of alphas is no more: rows then spread by 1e-9, of which a double has seven digits. */
#define MB_MOST_CONCENTRATION 0x1p60

/* A total of counts is no more: up to there whole numbers are exact. */
#define MB_MOST_TOTAL 0x1p53

#endif
