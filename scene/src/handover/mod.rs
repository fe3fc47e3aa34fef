//! Hand-over of agents between shards.
