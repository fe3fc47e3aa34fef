//! Who may depend on whom: dependencies run one way, cores do no IO, and roles talk only through messages.

use anyhow::Context;

/// What each crate may list of the workspace. An edge that is not here is an architecture change.
const WORKSPACE_EDGES: &[(&str, &[&str])] = &[
    ("pangaea-schemas", &[]),
    ("pangaea-world", &["pangaea-schemas"]),
    ("pangaea-gateway", &["pangaea-schemas"]),
    ("pangaea-persistence", &["pangaea-schemas"]),
    ("pangaea-scene-macros", &[]),
    ("pangaea-scene", &["pangaea-schemas", "pangaea-scene-macros"]),
    ("pangaea-luau", &[]),
    ("pangaea-script", &["pangaea-schemas", "pangaea-scene", "pangaea-luau"]),
    ("pangaea-node", &["pangaea-schemas", "pangaea-world", "pangaea-scene", "pangaea-gateway", "pangaea-persistence"]),
    ("pangaea-bots", &["pangaea-schemas"]),
    (
        "pangaea-bench",
        &["pangaea-schemas", "pangaea-scene", "pangaea-script", "pangaea-gateway", "pangaea-persistence", "pangaea-node"],
    ),
    ("pangaea-chaos", &["pangaea-schemas", "pangaea-persistence", "pangaea-node", "pangaea-bots"]),
    ("pangaea-cli", &["pangaea-schemas", "pangaea-scene", "pangaea-node", "pangaea-bots", "pangaea-bench", "pangaea-chaos"]),
    ("pangaea-game", &["pangaea-schemas", "pangaea-scene", "pangaea-script", "pangaea-cli"]),
    ("xtask", &[]),
];

/// Crates whose logic is a value without IO.
const CORES: &[&str] = &["pangaea-schemas", "pangaea-world", "pangaea-scene", "pangaea-gateway", "pangaea-persistence"];

/// What a core must not list, also for its tests: executors, sockets, clocks, randomness.
const IO_CRATES: &[&str] = &[
    "async-std",
    "axum",
    "chrono",
    "getrandom",
    "hyper",
    "mio",
    "notify",
    "quinn",
    "rand",
    "rayon",
    "reqwest",
    "smol",
    "socket2",
    "time",
    "tokio",
    "tokio-tungstenite",
    "tokio-util",
    "tungstenite",
];

/// Findings of one `Cargo.toml`, each with line 0.
pub(super) fn broken_rules(text: &str) -> anyhow::Result<Vec<(usize, String)>> {
    let manifest: toml::Table = text.parse().context("not a manifest")?;
    let Some(name) = manifest.get("package").and_then(|package| package.get("name")).and_then(|name| name.as_str()) else {
        return Ok(Vec::new());
    };
    let mut broken = Vec::new();
    for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let listed = manifest.get(section).and_then(|table| table.as_table());
        for dependency in listed.into_iter().flat_map(|table| table.keys()) {
            broken.extend(broken_edge(name, dependency).map(|why| (0, format!("[{section}] {why}"))));
        }
    }
    Ok(broken)
}

fn broken_edge(name: &str, dependency: &str) -> Option<String> {
    if CORES.contains(&name) && IO_CRATES.contains(&dependency) {
        return Some(format!("`{name}` is a core without IO and must not list `{dependency}`"));
    }
    let allowed = WORKSPACE_EDGES.iter().find(|(from, _)| *from == name)?.1;
    let ours = dependency == "xtask" || dependency.starts_with("pangaea-");
    (ours && !allowed.contains(&dependency)).then(|| format!("`{name}` must not depend on `{dependency}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(name: &str, section: &str, dependency: &str) -> Vec<String> {
        let text = format!("[package]\nname = \"{name}\"\n[{section}]\n{dependency} = \"1\"\n");
        broken_rules(&text).unwrap().into_iter().map(|(_, why)| why).collect()
    }

    #[test]
    fn cores_list_no_io_not_even_for_tests() {
        assert_eq!(rules("pangaea-scene", "dependencies", "tokio").len(), 1);
        assert_eq!(rules("pangaea-gateway", "dev-dependencies", "rand").len(), 1);
        assert!(rules("pangaea-node", "dependencies", "tokio").is_empty());
    }

    #[test]
    fn roles_do_not_know_each_other() {
        assert_eq!(
            rules("pangaea-gateway", "dev-dependencies", "pangaea-scene"),
            ["[dev-dependencies] `pangaea-gateway` must not depend on `pangaea-scene`"]
        );
        assert_eq!(rules("pangaea-schemas", "dependencies", "pangaea-world").len(), 1);
        assert!(rules("pangaea-scene", "dependencies", "pangaea-schemas").is_empty());
        assert!(rules("pangaea-tests", "dependencies", "pangaea-world").is_empty());
    }
}
