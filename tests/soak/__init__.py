"""What the heavy proofs stand on. Each runs small in `make test`, large in `make soak`."""
