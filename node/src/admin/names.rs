//! Names that nobody has: told with those that were probably meant.

/// Names offered.
const OFFERED_MAX: usize = 4;

/// That there is no `kind` called `name`, and which there are, the nearest first.
pub fn unknown<'a>(kind: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let mut known: Vec<_> = known.into_iter().map(|other| (strsim::levenshtein(name, other), other)).collect();
    if known.is_empty() {
        return format!("there is no {kind} `{name}`, nor any other now");
    }
    known.sort_unstable();
    let more = if known.len() > OFFERED_MAX { format!(", … ({} in all)", known.len()) } else { String::new() };
    let names: Vec<_> = known.into_iter().take(OFFERED_MAX).map(|(_, other)| other).collect();
    format!("there is no {kind} `{name}`; there are {}{more}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_come_first() {
        let shards = ["0/3/0,0", "0/3/1,0", "0/3/1,1", "0/3/7,7", "0/3/5,5"];
        assert_eq!(
            unknown("shard", "0/3/1.1", shards),
            "there is no shard `0/3/1.1`; there are 0/3/1,1, 0/3/1,0, 0/3/0,0, 0/3/5,5, … (5 in all)"
        );
        assert_eq!(unknown("scene", "scene1", ["scene-1"]), "there is no scene `scene1`; there are scene-1");
        assert_eq!(unknown("scene", "x", []), "there is no scene `x`, nor any other now");
    }
}
