"""Make up the statistics that a monitor writes: five-hour blocks, their tokens, and the snapshots of them."""
