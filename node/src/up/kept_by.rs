//! Which build a world was kept by: what another one could not read is told before anything is started.
//!
//! `layouts.json` in the data folder holds what the latest build keeps. A build that starts on the world, or is deployed to it,
//! takes its place there.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use pangaea_scene::layouts::Layouts;

/// The file's name in the data folder.
const NAME: &str = "layouts.json";

/// The build that is to keep the world from now on.
#[derive(Clone, Debug)]
pub struct KeptBy {
    /// What it keeps.
    pub layouts: Layouts,
    /// It may start on a world of which it cannot read everything.
    pub accept_losses: bool,
}

impl KeptBy {
    /// Makes it the build that keeps the world.
    ///
    /// # Errors
    /// The world has components that it would lose: told line by line, with what to do. Or the file cannot be read or written.
    pub(super) fn take(&self, data_dir: &Path) -> anyhow::Result<()> {
        let lost = if self.accept_losses { Vec::new() } else { before(data_dir)?.losses_of(&self.layouts) };
        if !lost.is_empty() {
            bail!(
                "this build cannot read all of the world in {}; nothing was started.\n  {}\nMend that, start the build that kept it, or \
                 start with --accept-losses: entities go on without those components then",
                data_dir.display(),
                lost.join("\n  ")
            );
        }
        Self::note(data_dir, &self.layouts)
    }

    /// Notes that the world is kept by a build with these layouts from now on.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn note(data_dir: &Path, layouts: &Layouts) -> anyhow::Result<()> {
        let (path, draft) = (data_dir.join(NAME), data_dir.join(format!("{NAME}.new")));
        let write = || fs::write(&draft, serde_json::to_vec(layouts)?).and_then(|()| fs::rename(&draft, &path));
        write().with_context(|| format!("cannot note in {} which build keeps the world", path.display()))
    }
}

/// What the build before keeps; nothing, in a new folder.
fn before(data_dir: &Path) -> anyhow::Result<Layouts> {
    let path = data_dir.join(NAME);
    let text = match fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Layouts::default()),
        read => read.with_context(|| format!("cannot read {}", path.display()))?,
    };
    serde_json::from_slice(&text).with_context(|| {
        format!("{} does not say which build kept the world; --accept-losses starts without asking", path.display())
    })
}

#[cfg(test)]
mod tests {
    use pangaea_scene::game::Game;
    use pangaea_scene::prelude::*;

    use super::*;

    #[component]
    struct Purse {
        pence: u32,
    }

    mod other {
        use pangaea_scene::prelude::*;

        #[component]
        pub(super) struct Purse {
            pub(super) pence: u64,
        }
    }

    fn build(game: fn(&mut Game), accept_losses: bool) -> KeptBy {
        let game = Game::build(game).expect("a game");
        KeptBy { layouts: game.layouts().as_ref().clone(), accept_losses }
    }

    fn first(game: &mut Game) {
        game.component::<Purse>().persistent();
    }

    fn second(game: &mut Game) {
        game.component::<other::Purse>().persistent();
    }

    #[test]
    fn a_build_that_would_lose_something_starts_only_when_that_is_accepted() {
        let folder = tempfile::tempdir().expect("a folder");
        build(first, false).take(folder.path()).expect("a new world");
        build(first, false).take(folder.path()).expect("the same build");
        let said = build(second, false).take(folder.path()).expect_err("other pence").to_string();
        assert!(said.contains("component purse is made of something else") && said.contains("--accept-losses"), "{said}");
        build(first, false).take(folder.path()).expect("what was refused has not taken its place");
        build(second, true).take(folder.path()).expect("accepted");
        build(second, false).take(folder.path()).expect("it keeps the world now");
        assert!(build(first, false).take(folder.path()).is_err());
    }

    #[test]
    fn a_file_that_says_nothing_is_told_by_its_path() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(NAME), "{").expect("written");
        let said = build(first, false).take(folder.path()).expect_err("half a file").to_string();
        assert!(said.contains(NAME) && said.contains("--accept-losses"), "{said}");
        build(first, true).take(folder.path()).expect("without asking");
    }
}
