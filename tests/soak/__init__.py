"""What the heavy proofs have in common. Each proof runs small in `make test`, large in `make soak`."""
