//! The control plane core: beacon, authentication, agent directory, managers and world systems.
