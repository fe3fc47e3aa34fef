//! A little world to try a feature in.
