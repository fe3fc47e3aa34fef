//! Links Luau, which `mlua` calls: see `build.rs`.

use mlua_sys as _;
