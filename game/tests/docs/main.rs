//! What the documents for designers say is so: every block of code in them is tried.

// Designers' items are public, as in a crate of their own.
#[allow(unreachable_pub, reason = "they stand here as they stand in the documents")]
mod recipes;
#[allow(unreachable_pub, clippy::too_many_arguments, reason = "as above; systems name all that they touch")]
mod tag;
#[allow(unreachable_pub, reason = "as above")]
mod versions;

/// What `pangaea new` makes.
#[path = "../../../tools/cli/src/new/lib.rs"]
#[allow(unreachable_pub, reason = "as above")]
mod new_game;

use pangaea_game::game;
use pangaea_scene::game::Game;
use pangaea_scene::prelude::*;

const DOCUMENTS: [(&str, &str); 2] =
    [("tutorial.md", include_str!("../../../docs/tutorial.md")), ("cookbook.md", include_str!("../../../docs/cookbook.md"))];

/// Blocks of one language in all documents, with where they begin.
fn blocks(language: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, text) in DOCUMENTS {
        let mut lines = text.lines().enumerate();
        while let Some((at, line)) = lines.next() {
            if line.trim() == format!("```{language}") {
                let block: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```").collect();
                found.push((format!("{name}:{}", at + 1), block.join("\n")));
            }
        }
    }
    found
}

#[test]
fn every_rust_block_is_compiled_and_tried() {
    let tried = [
        include_str!("tag.rs"),
        include_str!("recipes.rs"),
        include_str!("versions.rs"),
        include_str!("../../src/wander.rs"),
        include_str!("../../../tools/cli/src/new/glow.rs"),
        include_str!("../../../tools/cli/src/new/lib.rs"),
    ];
    let blocks = blocks("rust");
    assert!(blocks.len() >= 5, "{}", blocks.len());
    for (place, block) in blocks {
        assert!(tried.iter().any(|source| source.contains(&block)), "{place} is nowhere in what is tried:\n{block}");
    }
}

#[test]
fn a_new_game_takes_tag_in_the_place_of_its_first_feature_and_not_beside_it() {
    Game::build(new_game::game).expect("as `pangaea new` makes it");
    Game::build(|game| _ = game.plugin(pangaea_game::game).plugin(tag::plugin)).expect("as the tutorial says");
    let both = Game::build(|game| _ = game.plugin(new_game::game).plugin(tag::plugin)).expect_err("both colour players");
    let said = both.to_string();
    assert!(said.contains("glow") && said.contains("take_over") && said.contains(".before("), "{said}");
}

#[test]
fn every_script_runs() {
    let blocks = blocks("luau");
    assert!(blocks.len() >= 3, "{}", blocks.len());
    for (place, block) in blocks {
        let mut world = Harness::new(game);
        world.player("Anna");
        for n in 0..5_u8 {
            world.spawn(
                Position::new(600.0 + f32::from(n), 600.0),
                (pangaea_game::health::Health { now: 5, max: 10 }, pangaea_game::looks::Look { kind: 1, hue: n }),
            );
        }
        world.scripts(&[("block", &block)]);
        world.ticks(3);
        assert_eq!(world.script_faults(), [""; 0], "{place}");
    }
}

#[test]
fn every_sheet_fits_the_demo() {
    let game = Game::build(game).expect("a game");
    for (place, block) in blocks("toml") {
        let mut group = String::new();
        for line in block.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                group = name.to_owned();
            } else if let Some((name, _)) = line.split_once('=') {
                let name = format!("{group}.{}", name.trim());
                assert!(game.tunables().iter().any(|tunable| tunable.name == name), "{place}: there is no {name}");
            }
        }
    }
}

#[test]
fn the_demos_own_scripts_run() {
    let mut world = Harness::new(game);
    let wolf = world.spawn(
        Position::new(600.0, 600.0),
        (pangaea_game::health::Health { now: 5, max: 10 }, pangaea_game::looks::Look { kind: 2, hue: 200 }),
    );
    world.scripts(&[("wounds", include_str!("../../scripts/wounds.luau"))]);
    world.tick();
    assert_eq!(world.script_faults(), [""; 0]);
    assert_eq!(world.get::<pangaea_game::looks::Look>(wolf).expect("here").hue, 45);
}
