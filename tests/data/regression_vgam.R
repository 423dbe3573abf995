# What tests/estimator/test_regression.py holds against R: printed by R 4.2.2 with VGAM 1.1-7
# (Rscript regression_vgam.R, beside regression_vgam.csv).  y1 to y3 are Dirichlet-multinomial counts
# whose concentration depends on x, q1 to q3 Dirichlet rows of two groups g.
library(VGAM)
options(digits = 12)
d <- read.csv("regression_vgam.csv")
exact <- vglm.control(epsilon = 1e-13, maxit = 300, criterion = "coef")
printed <- function(f) { print(coef(f, matrix = TRUE)); print(logLik(f)); print(sqrt(diag(vcov(f)))) }
counts <- cbind(d$y1, d$y2, d$y3)
rows <- cbind(d$q1, d$q2, d$q3)
constant <- list("(Intercept)" = diag(3), x = rbind(0, 0, 1))
printed(vglm(counts ~ x, dirmultinomial(zero = NULL), data = d, control = exact))
printed(vglm(counts ~ x, dirmultinomial(zero = NULL), data = d, control = exact, constraints = constant))
printed(vglm(counts ~ 1, dirmultinomial(), data = d, control = exact))
printed(vglm(rows ~ g, dirichlet(), data = d, control = exact))
printed(vglm(rows ~ 1, dirichlet(), data = d, control = exact))
