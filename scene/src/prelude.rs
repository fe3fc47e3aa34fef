//! What a feature file imports.
