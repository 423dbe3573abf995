"""What a mixture says of rows that are known in part, model.md section 4d.

Contents
    listing    what rows list, and what they do not
    lumped     their density, each lumped as it is
    seen       them beside a prior that is checked
"""
