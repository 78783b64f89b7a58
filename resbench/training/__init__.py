"""Small networks are trained to the end, bit for bit again after any interruption."""
