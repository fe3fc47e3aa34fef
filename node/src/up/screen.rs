//! The one screen that `pangaea up` prints: what runs where, what to open, what to try next.

use std::fmt::Write;
use std::path::Path;

use pangaea_schemas::{NodeId, Role};

use super::ports::PortTable;
use super::{UpEngine, UpOptions};

/// The screen, ready to print.
pub(super) fn text(ports: PortTable, nodes: &[NodeId], data_dir: &Path, options: &UpOptions) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_all(&mut text, ports, nodes, data_dir, options);
    text
}

fn write_all(text: &mut String, ports: PortTable, nodes: &[NodeId], data_dir: &Path, options: &UpOptions) -> std::fmt::Result {
    let web = ports.web();
    writeln!(text, "\nPangaea is up. Open  http://{web}  for the live map, and to play.\n")?;
    writeln!(text, "  {:<12} {:<18} {:<22} clients", "process", "other nodes", "metrics, health")?;
    for &node in nodes {
        let clients = match node.role {
            Role::Gateway => format!("tcp {}  ws {}", ports.client_tcp(node.ordinal), ports.client_ws(node.ordinal)),
            Role::World => format!("http://{}  (page and admin API)", ports.http(node)),
            Role::Data | Role::Auth | Role::Scene => String::new(),
        };
        let line = format!(
            "  {:<12} {:<18} {:<22} {clients}",
            node.to_string(),
            ports.node(node).to_string(),
            ports.http(node).to_string()
        );
        writeln!(text, "{}", line.trim_end())?;
    }
    if let UpEngine::Own { servers, .. } = &options.engine {
        let addresses: Vec<_> = (1..=*servers).map(|n| ports.server(n)[0].to_string()).collect();
        writeln!(text, "  {:<12} {}", "engine", addresses.join("  "))?;
    }
    writeln!(text, "\n  bots         {}", options.bots)?;
    writeln!(text, "  data folder  {}", data_dir.display())?;
    writeln!(text, "  logs         {}", data_dir.join("logs").display())?;
    let cluster = if options.port_base == 7_000 { String::new() } else { format!(" --cluster http://{web}") };
    writeln!(text, "\nTry next, in another terminal:")?;
    writeln!(text, "  pangaea{cluster} status                                   nodes, shards, sessions")?;
    writeln!(text, "  pangaea{cluster} bots --count 100 --seconds 30 --scenario border-storm")?;
    writeln!(text, "  pangaea{cluster} ledger                                   an audit of all gold and items")?;
    match options.run_for {
        Some(span) => write!(text, "\nIt ends by itself after {} s, or with Ctrl-C.", span.as_secs()),
        None => write!(text, "\nCtrl-C stops everything in good order; the world is kept."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_screen_names_every_process_and_what_to_open() {
        let options = UpOptions {
            data_dir: "pangaea-data".into(),
            port_base: 7_100,
            scenes: 2,
            gateways: 1,
            worlds: 1,
            datas: 1,
            engine: super::super::UpEngine::Embedded,
            bots: 20,
            run_for: None,
            tick_threads: 0,
            design: None,
            abundance: crate::role::ABUNDANCE_DEFAULT,
            verbose: false,
            log: crate::telemetry::LogFormat::Human,
            hosts: super::super::Hosts::default(),
            advertised: std::collections::BTreeMap::new(),
            tls: None,
            kept_by: None,
        };
        let nodes = super::super::cluster::nodes_of(&options);
        let text = text(PortTable::new(7_100).expect("fits"), &nodes, &options.data_dir, &options);
        for node in &nodes {
            assert!(text.contains(&node.to_string()), "{node} in {text}");
        }
        assert!(text.contains("http://127.0.0.1:7100") && text.contains("--cluster http://127.0.0.1:7100 status"), "{text}");
        assert!(text.lines().count() < 30, "one screen");
    }
}
