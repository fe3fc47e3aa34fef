//! What the language says when a script fails, for whoever wrote the script.

use pangaea_scene::scripts::Fault;

/// Longest explanation in characters.
const TEXT_CHARS_MAX: usize = 300;

/// What the names of scripts' own lines end with; the prelude's do not.
pub(crate) const ENDING: &str = ".luau";

/// The name under which a script's own lines are reported.
pub(crate) fn chunk_name(script: &str) -> String {
    format!("{script}{ENDING}")
}

/// Finds the script's line and the reason in an error with its traceback.
pub(crate) fn fault(script: &str, error: &mlua::Error) -> Fault {
    let said = error.to_string();
    let chunk = format!("{}:", chunk_name(script));
    let line = said.match_indices(&chunk).find_map(|(at, _)| {
        let rest = &said[at + chunk.len()..];
        rest[..rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len())].parse().ok()
    });
    Fault { script: script.to_owned(), line: line.unwrap_or(0), text: bare(&said), ..Fault::default() }
}

/// The reason alone, without kind, place and traceback, which are told apart.
pub(crate) fn bare(said: &str) -> String {
    let first = said.split("\nstack traceback").next().unwrap_or_default().lines().next().unwrap_or_default();
    let reason =
        ["runtime error: ", "syntax error: ", "memory error: "].iter().fold(first, |text, kind| text.trim_start_matches(kind));
    let placed =
        reason.split_once(": ").filter(|(place, _)| place.rsplit_once(':').is_some_and(|(_, line)| line.parse::<u32>().is_ok()));
    placed.map_or(reason, |(_, rest)| rest).chars().take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_the_scripts_own_and_the_reason_has_no_place() {
        let error = mlua::Error::runtime(
            "[prelude]:40: `look.hue` wants 3 values\nstack traceback:\n\t[C]: in ?\n\twolves.luau:12: in function 'run'\n\twolves.luau:3: x",
        );
        let fault = fault("wolves", &error);
        assert_eq!((fault.line, fault.text.as_str()), (12, "`look.hue` wants 3 values"));
        assert_eq!(fault.to_string(), "wolves:12: `look.hue` wants 3 values");
    }
}
