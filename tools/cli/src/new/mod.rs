//! `pangaea new`: a game of one's own, beside this one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::Args;

use crate::say;

const EXAMPLES: &str = "Examples:
  pangaea new my-game                               a folder my-game that builds and runs
  pangaea new my-game --pangaea ../pangaea          against that checkout of Pangaea";

/// What every new game begins with: path, text. `NAME` is the game's name, `CRATE` the same as Rust writes it.
const FILES: [(&str, &str); 8] = [
    ("Cargo.toml", include_str!("Cargo.toml.txt")),
    ("README.md", include_str!("README.md")),
    (".gitignore", "/target\n/pangaea-data\n"),
    ("src/main.rs", include_str!("main.rs.txt")),
    ("src/lib.rs", include_str!("lib.rs")),
    ("src/glow.rs", include_str!("glow.rs")),
    ("tunables.toml", "# Made complete when the game first runs; save it while it does.\n"),
    ("scripts/wounds.luau", include_str!("../../../../game/scripts/wounds.luau")),
];

/// What to make where.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct NewArgs {
    /// The game's name, and its folder's: small letters, digits, `-`
    #[arg(value_name = "NAME")]
    name: String,
    /// The checkout of Pangaea to build against; that of this binary when not given
    #[arg(long, value_name = "DIR")]
    pangaea: Option<PathBuf>,
}

/// Make it.
pub(crate) fn run(args: &NewArgs) -> anyhow::Result<ExitCode> {
    let checkout = match &args.pangaea {
        Some(folder) => folder.clone(),
        None => PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")),
    };
    let checkout = fs::canonicalize(&checkout).ok().filter(|folder| folder.join("scene/Cargo.toml").is_file());
    let checkout = checkout.context("there is no checkout of Pangaea where this binary was built; name one with --pangaea")?;
    let folder = PathBuf::from(&args.name);
    make(&args.name, &folder, &checkout)?;
    say(&format!("Made {0}. Try it:\n  cd {0}\n  cargo test\n  cargo run --release", args.name));
    Ok(ExitCode::SUCCESS)
}

fn make(name: &str, folder: &Path, checkout: &Path) -> anyhow::Result<()> {
    let letters = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    let good = name.starts_with(|letter: char| letter.is_ascii_lowercase()) && name.chars().all(letters);
    ensure!(good, "a game cannot be called `{name}`: use small letters, digits and `-`, beginning with a letter");
    if folder.exists() {
        bail!("{} is there already; choose another name", folder.display());
    }
    let checkout_text = checkout.to_str().context("the checkout's path is no text")?;
    for (path, text) in FILES {
        let path = folder.join(path);
        let text = text.replace("NAME", name).replace("CRATE", &name.replace('-', "_")).replace("PANGAEA", checkout_text);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    // The versions that Pangaea was tried with.
    fs::copy(checkout.join("Cargo.lock"), folder.join("Cargo.lock")).context("the checkout has no Cargo.lock")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkout() -> PathBuf {
        fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).expect("a checkout")
    }

    #[test]
    fn a_new_game_has_its_name_everywhere() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = place.path().join("my-game");
        make("my-game", &folder, &checkout()).expect("made");
        let read = |path: &str| fs::read_to_string(folder.join(path)).expect("there");
        assert!(read("Cargo.toml").contains("name = \"my-game\"") && read("src/main.rs").contains("my_game::game"));
        for (path, _) in FILES {
            let text = read(path);
            assert!(!["NAME", "CRATE", "PANGAEA"].iter().any(|word| text.contains(word)), "{path}: {text}");
        }
        let again = make("my-game", &folder, &checkout()).expect_err("there already").to_string();
        assert!(again.contains("there already"), "{again}");
    }

    #[test]
    fn names_that_cargo_does_not_take_are_refused() {
        for name in ["", "My Game", "1st", "-x", "a/b"] {
            assert!(make(name, Path::new("/nowhere"), &checkout()).is_err(), "{name}");
        }
    }
}
