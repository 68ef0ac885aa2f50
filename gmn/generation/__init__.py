"""Generation: the sampler and the library job."""
