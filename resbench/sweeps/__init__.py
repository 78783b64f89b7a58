"""This package asks the library's questions of a population: networks drawn from a space, a row of a dataset each."""
