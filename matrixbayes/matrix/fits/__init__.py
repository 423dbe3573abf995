"""Priors of a matrix's rows, from what was counted.

evidence      mixtures and concentrations of highest evidence
left_out      discounts that predict documents best which were left out
row_sizes     rows by their totals, and how many tokens each has seen once, twice, more often
"""
