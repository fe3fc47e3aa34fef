//! An agent's components, read by their description: what the page does in the browser, for admins.

use pangaea_schemas::TypeId;
use pangaea_schemas::record::ComponentBytes;
use pangaea_schemas::registry::{Field, FieldType, TypeInfo};
use serde_json::{Map, Value, json};

/// Components by name, with their fields. What has no description that fits is told by its size, and by its id if it has no name;
/// another layout of what is described says nothing more, and is left out.
pub fn read(described: &[TypeInfo], components: &[ComponentBytes]) -> Map<String, Value> {
    let is_described = |component: &&ComponentBytes| described.iter().any(|info| info.id == component.id);
    let is_layout =
        |component: &&ComponentBytes| described.iter().any(|info| component.id.version_of(TypeId::of(&info.name)).is_some());
    let told = components.iter().filter(|component| is_described(component) || !is_layout(component)).map(|component| {
        let info = described.iter().find(|info| info.id == component.id);
        let name = info.map_or_else(|| format!("{:#010x}", component.id.0), |info| info.name.clone());
        match info {
            Some(info) if component.bytes.len() == usize::from(info.size) => (name, fields(info, &component.bytes)),
            _ => (name, json!(format!("{} bytes", component.bytes.len()))),
        }
    });
    told.collect()
}

fn fields(info: &TypeInfo, bytes: &[u8]) -> Value {
    info.fields.iter().map(|field| (field.name.clone(), field_value(field, bytes))).collect::<Map<_, _>>().into()
}

fn field_value(field: &Field, bytes: &[u8]) -> Value {
    let (start, size, length) = (usize::from(field.offset), field.ty.size(), usize::from(field.length));
    let Some(part) = bytes.get(start..start + size * length) else { return Value::Null };
    if field.ty == FieldType::Text {
        let end = part.iter().position(|byte| *byte == 0).unwrap_or(part.len());
        return String::from_utf8_lossy(&part[..end]).into();
    }
    let mut elements = part.chunks_exact(size).map(|element| element_value(field.ty, element));
    match length {
        1 => elements.next().unwrap_or_default(),
        _ => elements.collect(),
    }
}

fn element_value(ty: FieldType, bytes: &[u8]) -> Value {
    let mut wide = [0; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    let unsigned = u64::from_le_bytes(wide);
    // The sign is in the highest bit of the narrow number.
    let unused = 64 - 8 * bytes.len() as u32;
    match ty {
        FieldType::U8 | FieldType::U16 | FieldType::U32 | FieldType::U64 | FieldType::Entity => unsigned.into(),
        FieldType::I8 | FieldType::I16 | FieldType::I32 | FieldType::I64 => ((unsigned << unused) as i64 >> unused).into(),
        FieldType::F32 => f32::from_bits(unsigned as u32).into(),
        FieldType::F64 => f64::from_bits(unsigned).into(),
        // Handled as a whole.
        FieldType::Text => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn components_are_read_by_their_description() {
        let field = |name: &str, ty, offset, length| Field { name: name.to_owned(), ty, offset, length };
        let info = TypeInfo {
            id: TypeId::of("Thing"),
            name: "Thing".to_owned(),
            size: 19,
            fields: vec![
                field("power", FieldType::I16, 0, 1),
                field("parts", FieldType::U8, 2, 3),
                field("name", FieldType::Text, 5, 6),
                field("speed", FieldType::F64, 11, 1),
            ],
        };
        let encoded = TypeInfo { id: TypeId::of("Notes"), name: "Notes".to_owned(), size: 0, fields: vec![] };
        let described = [info, encoded];
        let notes = ComponentBytes { id: TypeId::of("Notes"), bytes: Bytes::from_static(b"by serde") };
        let bytes = [&(-2_i16).to_le_bytes()[..], &[1, 2, 3], b"Ana\0\0\0", &1.5_f64.to_le_bytes()].concat();
        let thing = ComponentBytes { id: TypeId::of("Thing"), bytes: Bytes::from(bytes) };
        let torn = ComponentBytes { id: TypeId::of("Thing"), bytes: Bytes::from_static(b"short") };
        let unknown = ComponentBytes { id: TypeId(7), bytes: Bytes::from_static(b"12345") };
        let told = Value::from(read(&described, &[thing, unknown, notes]));
        let wanted = json!({
            "Thing": { "power": -2, "parts": [1, 2, 3], "name": "Ana", "speed": 1.5 },
            "0x00000007": "5 bytes",
            "Notes": "8 bytes",
        });
        assert_eq!(told, wanted);
        assert_eq!(read(&described, &[torn]).values().next(), Some(&json!("5 bytes")));
    }
}
