"""Small networks trained to the end, on whatever device there is: bit for bit again after any interruption."""
