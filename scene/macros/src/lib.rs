//! The `#[component]` attribute.
