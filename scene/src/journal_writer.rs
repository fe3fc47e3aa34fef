//! What a shard appends to its journal, and what may happen once it is durable.
