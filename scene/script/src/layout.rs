//! The part of the prelude that follows from the game's types: how to read and write each kind of field, eight rows at a turn, so
//! that a column of ten thousand costs as few steps as possible.

use std::fmt::Write as _;

use pangaea_schemas::registry::FieldType;

/// Rows of one turn.
const UNROLLED: usize = 8;

/// How a field is read at `AT` of `b`.
fn read(ty: FieldType) -> &'static str {
    match ty {
        FieldType::U8 => "buffer.readu8(b, AT)",
        FieldType::U16 => "buffer.readu16(b, AT)",
        FieldType::U32 => "buffer.readu32(b, AT)",
        FieldType::I8 => "buffer.readi8(b, AT)",
        FieldType::I16 => "buffer.readi16(b, AT)",
        FieldType::I32 => "buffer.readi32(b, AT)",
        FieldType::F32 => "buffer.readf32(b, AT)",
        FieldType::F64 => "buffer.readf64(b, AT)",
        // Exact below 2^53; larger ones are kept as they are unless they are set, see `write`.
        FieldType::U64 | FieldType::Entity => "buffer.readu32(b, AT) + buffer.readu32(b, AT + 4) * 4294967296",
        FieldType::I64 => "buffer.readu32(b, AT) + buffer.readi32(b, AT + 4) * 4294967296",
        FieldType::Text => "cut(buffer.readstring(b, AT, length))",
    }
}

/// How `v` is written at `AT` of `b`.
fn write(ty: FieldType) -> &'static str {
    match ty {
        FieldType::U8 => "buffer.writeu8(b, AT, v)",
        FieldType::U16 => "buffer.writeu16(b, AT, v)",
        FieldType::U32 => "buffer.writeu32(b, AT, v)",
        FieldType::I8 => "buffer.writei8(b, AT, v)",
        FieldType::I16 => "buffer.writei16(b, AT, v)",
        FieldType::I32 => "buffer.writei32(b, AT, v)",
        FieldType::F32 => "buffer.writef32(b, AT, v)",
        FieldType::F64 => "buffer.writef64(b, AT, v)",
        FieldType::U64 | FieldType::Entity | FieldType::I64 => "wide(b, AT, v)",
        FieldType::Text => "text(b, AT, length, v)",
    }
}

/// The name of a kind of field in the prelude.
pub(crate) fn kind(ty: FieldType) -> &'static str {
    match ty {
        FieldType::U8 => "u8",
        FieldType::U16 => "u16",
        FieldType::U32 => "u32",
        FieldType::U64 => "u64",
        FieldType::I8 => "i8",
        FieldType::I16 => "i16",
        FieldType::I32 => "i32",
        FieldType::I64 => "i64",
        FieldType::F32 => "f32",
        FieldType::F64 => "f64",
        FieldType::Entity => "entity",
        FieldType::Text => "text",
    }
}

/// The prelude: readers and writers of all kinds, then what is written by hand.
pub(crate) fn prelude() -> String {
    let mut source = String::from(include_str!("fields.luau"));
    for ty in FieldType::ALL {
        let (name, read, write) = (kind(ty), read(ty), write(ty));
        let place = |row: usize| if row == 0 { "at".to_owned() } else { format!("at + {row} * size") };
        let reads: Vec<_> = (0..UNROLLED).map(|row| format!("t[i + {row}] = {}", read.replace("AT", &place(row)))).collect();
        let writes: Vec<_> = (0..UNROLLED).map(|row| format!("v = t[i + {row}] {}", write.replace("AT", &place(row)))).collect();
        // Writing to a string does not fail.
        let _ = write!(
            source,
            "\nreaders.{name} = function(b, at, size, n, length)
    local t, i = table.create(n), 1
    while i + {last} <= n do {reads} i += {UNROLLED} at += {UNROLLED} * size end
    while i <= n do t[i] = {one} i += 1 at += size end
    return t
end
writers.{name} = function(b, at, size, n, t, length)
    local i, v = 1, nil
    while i + {last} <= n do {writes} i += {UNROLLED} at += {UNROLLED} * size end
    while i <= n do v = t[i] {put} i += 1 at += size end
end\n",
            last = UNROLLED - 1,
            reads = reads.join(" "),
            writes = writes.join(" "),
            one = read.replace("AT", "at"),
            put = write.replace("AT", "at"),
        );
    }
    source.push_str(include_str!("prelude.luau"));
    source
}
