"""Sound in and out: decode, resample, mu-law, features, write; no Ray, no MLflow."""
