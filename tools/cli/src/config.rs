//! Layered configuration: a file, under the environment, under the command line. A setting of the file is the default of its
//! flag, so that each layer hides the one below, and whatever checks a flag checks the file.
//!
//! The file is `--config FILE`, or what `PANGAEA_CONFIG` names, or `pangaea.toml` where the command runs, if there is one. A
//! setting that is not known, or of the wrong kind, is told with its file and line, and nothing is started.

use std::fmt::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Command, Subcommand};
use pangaea_node::keys::ClusterKeys;
use toml::de::{DeTable, DeValue};

use crate::say;

/// The file where nobody names another.
pub(crate) const FILE: &str = "pangaea.toml";
/// Names another file.
pub(crate) const FILE_VARIABLE: &str = "PANGAEA_CONFIG";
const EXAMPLES: &str = "Examples:
  pangaea config check
  pangaea config check --config /etc/pangaea/pangaea.toml
Exit code 1 when anything is wrong: it is told with its file and line.";

const KEYS_EXAMPLES: &str = "Examples:
  pangaea config keys --data-dir /var/lib/pangaea";

/// What to do about the configuration.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum ConfigCommand {
    /// Read the file, and show every setting with where it comes from
    #[command(after_help = EXAMPLES)]
    Check(CheckArgs),
    /// Make the cluster's keys, as far as they are not there: copy them to every host
    #[command(after_help = KEYS_EXAMPLES)]
    Keys(KeysArgs),
}

/// Where the keys are to be.
#[derive(Debug, Args)]
pub(crate) struct KeysArgs {
    /// The data folder; the keys are in `keys` below it
    #[arg(long, default_value = "pangaea-data", value_name = "DIR")]
    data_dir: PathBuf,
}

/// Nothing but the file.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {}

/// What a setting's value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    /// Texts, joined by commas on the command line.
    Texts,
    /// From … to.
    Number(u64, u64),
}

/// One setting: its name in the file, the flag whose default it is, and its kind.
struct Setting {
    name: &'static str,
    flag: &'static str,
    kind: Kind,
}

const fn setting(name: &'static str, flag: &'static str, kind: Kind) -> Setting {
    Setting { name, flag, kind }
}

const SETTINGS: &[Setting] = &[
    setting("data-dir", "data_dir", Kind::Text),
    setting("log", "log", Kind::Text),
    setting("engine.kind", "engine", Kind::Text),
    setting("engine.servers", "engine_servers", Kind::Texts),
    setting("engine.monitors", "engine_monitors", Kind::Texts),
    setting("engine.replicas", "engine_replicas", Kind::Number(1, 5)),
    setting("engine.durability", "engine_durability", Kind::Text),
    setting("engine.nodes", "engine_nodes", Kind::Number(1, 3)),
    setting("engine.tls.ca", "engine_ca", Kind::Text),
    setting("engine.tls.certificate", "engine_certificate", Kind::Text),
    setting("engine.tls.key", "engine_key", Kind::Text),
    setting("tls.ca", "tls_ca", Kind::Text),
    setting("tls.certificate", "tls_certificate", Kind::Text),
    setting("tls.key", "tls_key", Kind::Text),
    setting("up.port-base", "port_base", Kind::Number(1_024, 65_445)),
    setting("up.scenes", "scenes", Kind::Number(1, 10)),
    setting("up.gateways", "gateways", Kind::Number(1, 10)),
    setting("up.worlds", "worlds", Kind::Number(1, 3)),
    setting("up.datas", "datas", Kind::Number(1, 3)),
    setting("up.bots", "bots", Kind::Number(0, 100_000)),
    setting("scene.tick-threads", "tick_threads", Kind::Number(0, 1_024)),
    setting("scene.abundance", "abundance", Kind::Number(0, 65_535)),
    setting("gateway.connections", "connections", Kind::Number(1, 1_000_000)),
    setting("data.reserve-mib", "reserve_mib", Kind::Number(0, 1 << 24)),
    setting("data.snapshot-seconds", "snapshot_seconds", Kind::Number(1, 31_536_000)),
    setting("data.snapshots", "snapshots", Kind::Number(0, 1_000)),
];
/// Flags that mean the same to several commands, but are set for `up` and the roles only.
const COMMANDS: &[&str] = &["up", "world", "data", "auth", "scene", "gateway", "engine"];

/// A setting that the file has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    name: &'static str,
    flag: &'static str,
    value: String,
    line: usize,
}

/// A configuration file, read and checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileLayer {
    path: PathBuf,
    given: Vec<Given>,
}

impl FileLayer {
    /// Which file these words and the environment mean, read; `None`: there is none.
    ///
    /// # Errors
    /// It was named and cannot be read, or something in it is wrong: with file and line.
    pub(crate) fn find(words: &[String]) -> anyhow::Result<Option<Self>> {
        let mut words = words.iter();
        let after = |word: &String| word.strip_prefix("--config=").map(str::to_owned);
        let named = loop {
            match words.next() {
                None => break None,
                Some(word) if word == "--config" => break words.next().cloned(),
                Some(word) => match after(word) {
                    Some(path) => break Some(path),
                    None => continue,
                },
            }
        };
        let named = named.or_else(|| std::env::var(FILE_VARIABLE).ok());
        let path = match named {
            Some(path) => PathBuf::from(path),
            None if Path::new(FILE).is_file() => PathBuf::from(FILE),
            None => return Ok(None),
        };
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read the configuration {}", path.display()))?;
        Self::parse(path, &text).map(Some)
    }

    fn parse(path: PathBuf, text: &str) -> anyhow::Result<Self> {
        let table = match DeTable::parse(text) {
            Ok(table) => table,
            Err(error) => {
                let at = error.span().map_or(1, |span| line_of(text, &span));
                bail!("{}:{at}: {}", path.display(), error.message())
            }
        };
        let (mut given, mut wrong) = (Vec::new(), Vec::new());
        walk(text, "", table.get_ref(), &mut given, &mut wrong);
        if !wrong.is_empty() {
            let all: Vec<_> = wrong.into_iter().map(|(line, why)| format!("{}:{line}: {why}", path.display())).collect();
            bail!("{}", all.join("\n"));
        }
        Ok(Self { path, given })
    }

    /// The command line whose defaults are this file's settings.
    pub(crate) fn under(&self, command: Command) -> Command {
        command.mut_subcommands(|sub| self.below(sub))
    }

    fn below(&self, command: Command) -> Command {
        if !COMMANDS.contains(&command.get_name()) && command.get_name() != "check" && command.get_name() != "move" {
            return command;
        }
        let mut command = command.mut_subcommands(|sub| self.below(sub));
        for given in &self.given {
            // Each start reads one file once: what it leaks is as large as the file.
            let value: &'static str = given.value.clone().leak();
            let split = SETTINGS.iter().any(|setting| setting.flag == given.flag && setting.kind == Kind::Texts);
            if command.get_arguments().any(|arg| arg.get_id() == given.flag) {
                command = command.mut_arg(given.flag, |arg| {
                    if split {
                        arg.default_values(value.split(',').filter(|word| !word.is_empty()))
                    } else {
                        arg.default_value(value)
                    }
                });
            }
        }
        command
    }
}

fn walk(text: &str, prefix: &str, table: &DeTable<'_>, given: &mut Vec<Given>, wrong: &mut Vec<(usize, String)>) {
    for (key, value) in table {
        let line = line_of(text, &key.span());
        let name = if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
        if let DeValue::Table(inner) = value.get_ref() {
            if SETTINGS.iter().any(|setting| setting.name.starts_with(&format!("{name}."))) {
                walk(text, &name, inner, given, wrong);
            } else {
                wrong.push((line, format!("there is no section [{name}]")));
            }
            continue;
        }
        let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) else {
            wrong.push((line, unknown(&name)));
            continue;
        };
        match read(setting.kind, value.get_ref()) {
            Ok(value) => given.push(Given { name: setting.name, flag: setting.flag, value, line }),
            Err(why) => wrong.push((line_of(text, &value.span()), format!("`{name}` {why}"))),
        }
    }
}

fn read(kind: Kind, value: &DeValue<'_>) -> Result<String, String> {
    match (kind, value) {
        (Kind::Text, DeValue::String(text)) => Ok(text.to_string()),
        (Kind::Texts, DeValue::Array(all)) => {
            let texts: Option<Vec<_>> = all.iter().map(|one| one.get_ref().as_str()).collect();
            texts.map(|texts| texts.join(",")).ok_or_else(|| "is a list of texts".to_owned())
        }
        (Kind::Number(from, to), DeValue::Integer(number)) => {
            let found = u64::from_str_radix(number.as_str(), number.radix()).ok().filter(|found| (from..=to).contains(found));
            found
                .map(|found| found.to_string())
                .ok_or_else(|| format!("is a number from {from} to {to}, not {}", number.as_str()))
        }
        (Kind::Text, other) => Err(format!("is a text, not a {}", other.type_str())),
        (Kind::Texts, other) => Err(format!("is a list of texts, not a {}", other.type_str())),
        (Kind::Number(..), other) => Err(format!("is a number, not a {}", other.type_str())),
    }
}

/// What is not known, and what may have been meant: a setting of the same last word, or all of the same section.
fn unknown(name: &str) -> String {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().replace('_', "-");
    let section = name.rsplit_once('.').map_or("", |(section, _)| section);
    let alike = SETTINGS.iter().filter(|setting| last(setting.name) == last(name));
    let beside = SETTINGS.iter().filter(|setting| setting.name.rsplit_once('.').map_or("", |(section, _)| section) == section);
    let mut meant: Vec<_> = alike.map(|setting| setting.name).collect();
    if meant.is_empty() {
        meant = beside.map(|setting| setting.name).collect();
    }
    format!("there is no setting `{name}`; perhaps {}", meant.join(", "))
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    text.as_bytes().iter().take(span.start).filter(|byte| **byte == b'\n').count() + 1
}

/// Make keys.
pub(crate) fn make_keys(args: &KeysArgs) -> anyhow::Result<ExitCode> {
    std::fs::create_dir_all(&args.data_dir).with_context(|| format!("cannot make {}", args.data_dir.display()))?;
    ClusterKeys::below(&args.data_dir).create_missing()?;
    say(&format!("The keys are in {}. Every node of the cluster needs the same.", args.data_dir.join("keys").display()));
    Ok(ExitCode::SUCCESS)
}

/// Show what is set, and where.
pub(crate) fn show(layer: Option<&FileLayer>, command: &Command) -> ExitCode {
    let mut text = match layer {
        Some(layer) => format!("{} is in order.\n", layer.path.display()),
        None => format!("There is no {FILE}, and no other file is named: everything is as usual.\n"),
    };
    for setting in SETTINGS {
        let arg = command.get_subcommands().flat_map(Command::get_arguments).find(|arg| arg.get_id() == setting.flag);
        let variable = arg.and_then(|arg| arg.get_env()).map(|name| name.to_string_lossy().into_owned());
        let in_environment = variable.as_ref().and_then(|name| Some((std::env::var(name).ok()?, format!("environment, {name}"))));
        let given = layer.and_then(|layer| Some((layer, layer.given.iter().find(|given| given.name == setting.name)?)));
        let in_file = given.map(|(layer, given)| (given.value.clone(), format!("{}:{}", layer.path.display(), given.line)));
        if let Some((value, origin)) = in_environment.or(in_file) {
            // Writing to a string does not fail.
            let _ = write!(text, "\n  {:<24} {value:<40} {origin}", setting.name);
        }
    }
    say(text.trim_end());
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches};

    use super::*;
    use crate::args::{Cli, Command as Typed};

    fn layer(text: &str) -> anyhow::Result<FileLayer> {
        FileLayer::parse(PathBuf::from("p.toml"), text)
    }

    #[test]
    fn every_setting_is_a_flag_of_some_command() {
        let cli = Cli::command();
        for setting in SETTINGS {
            let known = cli
                .get_subcommands()
                .filter(|command| COMMANDS.contains(&command.get_name()))
                .any(|command| command.get_arguments().any(|arg| arg.get_id() == setting.flag));
            assert!(known, "{} sets --{}, which nobody takes", setting.name, setting.flag);
        }
    }

    #[test]
    fn a_flag_hides_the_file() {
        let layer = layer("[up]\nscenes = 4\nbots = 0\n[engine]\nkind = \"nats\"\nservers = [\"nats://a:1\", \"nats://b:1\"]\n");
        let layer = layer.expect("in order");
        let matches = layer.under(Cli::command()).get_matches_from(["pangaea", "up", "--scenes", "2"]);
        let cli = Cli::from_arg_matches(&matches).expect("parsed");
        let Some(Typed::Up(args)) = cli.command else { panic!("not up") };
        let options = args.options(&pangaea_scene::layouts::Layouts::default()).expect("valid");
        assert_eq!((options.scenes, options.bots, options.gateways), (2, 0, 1));
        let pangaea_node::up::UpEngine::Reached(engine) = options.engine else { panic!("not the engine: {:?}", options.engine) };
        assert_eq!(engine.servers, ["nats://a:1", "nats://b:1"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_file_and_line() {
        for (text, told) in [
            ("[up]\nscenes = 0\n", "p.toml:2: `up.scenes` is a number from 1 to 10, not 0"),
            ("[up]\n\nscenes = \"two\"\n", "p.toml:3: `up.scenes` is a number, not a string"),
            ("[up]\nscene = 2\n", "p.toml:2: there is no setting `up.scene`; perhaps up.port-base"),
            ("scenes = 2\n", "p.toml:1: there is no setting `scenes`; perhaps up.scenes"),
            ("[nats]\nservers = []\n", "p.toml:1: there is no section [nats]"),
            ("[engine]\nservers = [1]\n", "p.toml:2: `engine.servers` is a list of texts"),
            ("[engine\n", "p.toml:1: "),
        ] {
            let error = layer(text).expect_err(text).to_string();
            assert!(error.starts_with(told), "{text:?} is told as {error}");
        }
        let both = layer("a = 1\n[up]\nbots = -1\n").expect_err("wrong").to_string();
        assert_eq!(both.lines().count(), 2, "{both}");
    }
}
