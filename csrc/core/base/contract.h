/* Fused multiply-adds, in all functions of a file below this line: included by files of long sums of
 * products, which are no less accurate for it, and of whose results nobody asks for the same bits on
 * every machine.  Elsewhere the build has contraction off. */
#ifndef MB_CONTRACT_H
#define MB_CONTRACT_H

#if defined(__clang__)
#pragma clang fp contract(fast)
#else
#pragma GCC optimize("fp-contract=fast")
#endif

#endif
