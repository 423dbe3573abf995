"""What every room stands on: types, arguments, names, weights, display, files, workers."""
