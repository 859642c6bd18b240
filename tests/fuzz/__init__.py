"""A fuzzer for every reader: mutated inputs, of which each is read or is an `InterpError`, in ten seconds and a gigabyte."""
