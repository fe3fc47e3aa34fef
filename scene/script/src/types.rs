//! What editors are told: a definition file for the Luau language server, with this game's components, messages and tunables.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pangaea_scene::scripts::Words;
use pangaea_schemas::registry::{FieldType, TypeInfo};
use pangaea_schemas::rules::TuneValue;

/// The definitions for a game, as a `.d.luau` file.
pub fn definitions(words: &Words) -> String {
    let mut text = String::from("-- Made by `pangaea script types`: what scripts of this game may name.\n\n");
    structs(&mut text, "Component", &words.components);
    structs(&mut text, "Message", &words.effects);
    structs(&mut text, "Message", &words.events);
    structs(&mut text, "Message", &words.inputs);
    let names = |types: &[TypeInfo]| {
        let names: Vec<_> = types.iter().map(|ty| format!("{:?}", ty.name)).collect();
        if names.is_empty() { "never".to_owned() } else { names.join(" | ") }
    };
    // Writing to a string does not fail.
    let _ = writeln!(text, "export type ComponentName = {}", names(&words.components));
    let _ = writeln!(text, "export type EffectName = {}", names(&words.effects));
    let _ = writeln!(text, "export type EventName = {}", names(&words.events));
    let hears: Vec<TypeInfo> = words.effects.iter().chain(&words.inputs).cloned().collect();
    let _ = writeln!(text, "export type HeardName = {}\n", names(&hears));
    tunables(&mut text, &words.tunables);
    entity(&mut text, &words.components);
    text.push_str(include_str!("world.d.luau"));
    text
}

fn structs(text: &mut String, sort: &str, types: &[TypeInfo]) {
    for ty in types {
        let fields: Vec<_> =
            ty.fields.iter().filter(|f| !f.name.contains('.')).map(|f| format!("{}: {}", f.name, word(f.ty))).collect();
        let _ = writeln!(text, "export type {sort}_{} = {{ {} }}", ty.name, fields.join(", "));
    }
    text.push('\n');
}

fn word(ty: FieldType) -> &'static str {
    match ty {
        FieldType::Text => "string",
        FieldType::U8
        | FieldType::U16
        | FieldType::U32
        | FieldType::U64
        | FieldType::I8
        | FieldType::I16
        | FieldType::I32
        | FieldType::I64
        | FieldType::F32
        | FieldType::F64
        | FieldType::Entity => "number",
    }
}

fn tunables(text: &mut String, values: &[(String, TuneValue)]) {
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, value) in values {
        let Some((group, field)) = name.split_once('.') else { continue };
        let ty = match value {
            TuneValue::Int(_) | TuneValue::Float(_) => "number",
            TuneValue::Flag(_) => "boolean",
            TuneValue::Text(_) => "string",
        };
        groups.entry(group).or_default().push(format!("{field}: {ty}"));
    }
    text.push_str("export type Tunables = {\n");
    for (group, fields) in groups {
        let _ = writeln!(text, "\t{group}: {{ {} }},", fields.join(", "));
    }
    text.push_str("}\n\n");
}

fn entity(text: &mut String, components: &[TypeInfo]) {
    text.push_str("export type Entity = {\n\tid: number,\n\tchance: () -> number,\n");
    for component in components {
        let _ = writeln!(text, "\t{0}: Component_{0},", component.name);
    }
    text.push_str("}\n\n");
}
