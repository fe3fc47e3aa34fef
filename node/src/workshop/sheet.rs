//! `tunables.toml`: read as values, and brought up to date line by line, so that what designers wrote around them stays.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pangaea_schemas::rules::{Rules, TuneSpec, TuneValue};
use toml::{Table, Value};

/// The values in a sheet, by group and name.
///
/// # Errors
/// In words for whoever wrote it: where it is no TOML, or which value is none.
pub(crate) fn read(text: &str) -> Result<BTreeMap<String, TuneValue>, String> {
    let groups = text.parse::<Table>().map_err(|error| error.to_string().trim().to_owned())?;
    let mut values = BTreeMap::new();
    for (group, entries) in groups {
        let Value::Table(entries) = entries else {
            return Err(format!("`{group}` stands alone; write it under its group, as in [group] and then {group} = …"));
        };
        for (name, value) in entries {
            let name = format!("{group}.{name}");
            let value = match value {
                Value::Integer(value) => TuneValue::Int(value),
                Value::Float(value) => TuneValue::Float(value),
                Value::Boolean(value) => TuneValue::Flag(value),
                Value::String(value) => TuneValue::Text(value),
                other @ (Value::Datetime(_) | Value::Array(_) | Value::Table(_)) => {
                    return Err(format!("`{name}` is of type {}; tunables are numbers, texts, true or false", other.type_str()));
                }
            };
            values.insert(name, value);
        }
    }
    Ok(values)
}

/// The sheet with all tunables as they are now: values that differ are changed in their lines, tunables that it lacks are added
/// with what they are. `None`: a line cannot be found, as when it is written in a form of its own.
pub(crate) fn updated(text: &str, specs: &[TuneSpec], rules: &Rules) -> Option<String> {
    let there = read(text).ok()?;
    let now = |spec: &TuneSpec| rules.tuned(&spec.name).unwrap_or(&spec.initial).clone();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for spec in specs {
        match there.get(&spec.name) {
            Some(value) if spec.check(value.clone()).ok().as_ref() == Some(&now(spec)) => {}
            Some(_) => {
                let line = line_of(&lines, &spec.name)?;
                lines[line] = with_value(&lines[line], &now(spec))?;
            }
            None => add(&mut lines, spec, &now(spec)),
        }
    }
    let mut text = lines.join("\n");
    text.push('\n');
    // Only what can be read back as meant is written.
    let read_back = read(&text).ok()?;
    let is_meant = |spec: &TuneSpec| read_back.get(&spec.name).and_then(|v| spec.check(v.clone()).ok()) == Some(now(spec));
    specs.iter().all(is_meant).then_some(text)
}

fn line_of(lines: &[String], name: &str) -> Option<usize> {
    let (group, field) = name.split_once('.')?;
    let head = lines.iter().position(|line| is_head(line, group))?;
    let under = lines.iter().enumerate().skip(head + 1).take_while(|(_, line)| !line.trim_start().starts_with('['));
    under.into_iter().find(|(_, line)| line.split_once('=').is_some_and(|(key, _)| key.trim() == field)).map(|(at, _)| at)
}

fn is_head(line: &str, group: &str) -> bool {
    line.trim().strip_prefix('[').and_then(|rest| rest.split_once(']')).is_some_and(|(name, _)| name.trim() == group)
}

/// The line with another value and the same comment.
fn with_value(line: &str, value: &TuneValue) -> Option<String> {
    let (key, rest) = line.split_once('=')?;
    let mut in_text = false;
    let comment = rest.char_indices().find(|(_, letter)| {
        in_text ^= *letter == '"';
        *letter == '#' && !in_text
    });
    let comment = comment.map_or(String::new(), |(at, _)| format!("  {}", &rest[at..]));
    Some(format!("{}= {value}{comment}", if key.ends_with(' ') { key.to_owned() } else { format!("{key} ") }))
}

/// Puts a tunable under its group, the group at the end when there is none yet.
fn add(lines: &mut Vec<String>, spec: &TuneSpec, value: &TuneValue) {
    let Some((group, field)) = spec.name.split_once('.') else { return };
    let mut entry = format!("# {}", spec.about);
    // Writing to a string does not fail.
    let _ = write!(entry, "\n# {}; at first {}\n{field} = {value}", capital(&spec.kind.to_string()), spec.initial);
    let entry = entry.lines().map(str::to_owned);
    match lines.iter().position(|line| is_head(line, group)) {
        Some(head) => {
            let length = lines[head + 1..].iter().take_while(|line| !line.trim_start().starts_with('[')).count();
            let mut end = head + 1 + length;
            while lines[end - 1].trim().is_empty() {
                end -= 1;
            }
            lines.splice(end..end, entry);
        }
        None => {
            if lines.last().is_some_and(|line| !line.trim().is_empty()) {
                lines.push(String::new());
            }
            lines.push(format!("[{group}]"));
            lines.extend(entry);
        }
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use pangaea_schemas::rules::TuneKind;

    use super::*;

    fn specs() -> Vec<TuneSpec> {
        let spec =
            |name: &str, about: &str, initial, kind| TuneSpec { name: name.to_owned(), about: about.to_owned(), initial, kind };
        vec![
            spec("wolves.speed", "In m/s.", TuneValue::Float(2.4), TuneKind::Float { min: 0.0, max: 20.0 }),
            spec("wolves.name", "What they are called.", TuneValue::Text("Wolf".to_owned()), TuneKind::Text { bytes_max: 24 }),
            spec("sheep.herd", "So many.", TuneValue::Int(14), TuneKind::Int { min: 1, max: 99 }),
        ]
    }

    fn rules(values: &[(&str, TuneValue)]) -> Rules {
        let mut rules = Rules::default();
        values.iter().for_each(|(name, value)| rules.tune(name, Some(value.clone())));
        rules
    }

    #[test]
    fn an_empty_sheet_becomes_one_that_explains_itself() {
        let text = updated("", &specs(), &rules(&[("sheep.herd", TuneValue::Int(20))])).expect("possible");
        assert_eq!(
            text,
            "[wolves]\n# In m/s.\n# A number from 0 to 20; at first 2.4\nspeed = 2.4\n# What they are called.\n\
             # A text of at most 24 bytes; at first \"Wolf\"\nname = \"Wolf\"\n\n[sheep]\n# So many.\n\
             # A whole number from 1 to 99; at first 14\nherd = 20\n"
        );
        assert_eq!(updated(&text, &specs(), &rules(&[("sheep.herd", TuneValue::Int(20))])), Some(text));
    }

    #[test]
    fn what_designers_wrote_around_the_values_stays() {
        let written =
            "# mine\n[sheep]\nherd=14 # not too many\n\n[wolves] # the bad ones\n  name = \"W#lf\"  # a joke\nspeed = 3\n";
        let now = rules(&[("wolves.speed", TuneValue::Float(3.0)), ("sheep.herd", TuneValue::Int(7))]);
        let text = updated(written, &specs(), &now).expect("possible");
        assert_eq!(
            text,
            "# mine\n[sheep]\nherd = 7  # not too many\n\n[wolves] # the bad ones\n  name = \"Wolf\"  # a joke\nspeed = 3\n"
        );
    }

    #[test]
    fn what_is_no_value_is_told_in_words() {
        let told = |text: &str| read(text).expect_err("no sheet");
        assert!(told("[wolves]\nspeed = \n").contains("line 2"), "{}", told("[wolves]\nspeed = \n"));
        assert_eq!(told("speed = 3"), "`speed` stands alone; write it under its group, as in [group] and then speed = …");
        assert_eq!(told("[wolves]\nspeed = [3]"), "`wolves.speed` is of type array; tunables are numbers, texts, true or false");
    }

    #[test]
    fn a_form_that_cannot_be_changed_line_by_line_is_left_alone() {
        let written = "wolves.speed = 3\n";
        assert_eq!(updated(written, &specs()[..1], &rules(&[("wolves.speed", TuneValue::Float(4.0))])), None);
        assert_eq!(updated("[[", &specs(), &Rules::default()), None);
    }
}
