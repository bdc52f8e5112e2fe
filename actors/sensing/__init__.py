"""What devices and edges compute off chain: pure functions over places, times and a given random generator."""
