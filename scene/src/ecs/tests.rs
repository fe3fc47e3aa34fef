//! Tests of the ECS side.
