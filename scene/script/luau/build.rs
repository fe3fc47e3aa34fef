//! Builds Luau for `mlua`, which leaves that to others (`external`).
//!
//! Luau has 75 files of C++. One by one and with all optimisations they take 114 s of a core, most of it for reading the same
//! headers, and for the reader of scripts, which runs once per script. Here each half is one piece: the *reader* without
//! optimisation, the *machine* with it, in a third of the time. The sources are those of the crate `luau0-src`; where they are
//! not where Cargo unpacks crates (`cargo vendor`), that crate builds them its own way.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// What the crate of the sources is called where it is unpacked. Changes with its version.
const UNPACKED: &str = "luau0-src-0.22.0+luau740";

/// Everything that reads scripts.
const READER: Piece = Piece {
    name: "luaureader",
    folders: &["Common", "Ast", "Bytecode", "Compiler", "Inliner", "Config", "Require"],
    optimised: 0,
    apart: None,
};

/// What runs them. One file uses a name that another has taken.
const MACHINE: Piece = Piece { name: "luaumachine", folders: &["VM", "Custom"], optimised: 2, apart: Some("lveclib.cpp") };

/// Files that are compiled as one.
struct Piece {
    name: &'static str,
    folders: &'static [&'static str],
    optimised: u32,
    apart: Option<&'static str>,
}

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=CARGO_HOME");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo says where"));
    let linux = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux");
    let Some(sources) = sources().filter(|_| linux) else {
        return luau0_src::Build::new().build().print_cargo_metadata();
    };
    println!("cargo:rustc-link-search=native={}", out.display());
    for piece in [MACHINE, READER] {
        piece.compile(&sources, &out);
        // Whole: who calls it may stand before or after it when all is linked.
        println!("cargo:rustc-link-lib=static:+whole-archive={}", piece.name);
    }
    println!("cargo:rustc-link-lib=stdc++");
}

impl Piece {
    fn compile(&self, sources: &Path, out: &Path) {
        let files = self.folders.iter().flat_map(|folder| files(&sources.join(folder).join("src")));
        let (apart, together): (Vec<_>, Vec<_>) = files.partition(|file| self.apart.is_some_and(|name| file.ends_with(name)));
        let whole = out.join(self.name).with_extension("cpp");
        let text: String = together.iter().map(|file| format!("#include \"{}\"\n", file.display())).collect();
        fs::write(&whole, text).expect("the target folder can be written");
        let mut build = cc::Build::new();
        build.cpp(true).std("c++17").warnings(false).cargo_metadata(false).opt_level(self.optimised).out_dir(out);
        build.flag_if_supported("-fno-math-errno").file(whole).files(apart);
        for part in ["Common", "Ast", "Bytecode", "Inliner", "Compiler", "Config", "Require", "VM"] {
            build.include(sources.join(part).join("include"));
        }
        build.include(sources.join("Bytecode/src")).include(sources.join("VM/src"));
        // As `luau0-src` has it.
        build.define("LUAI_MAXCSTACK", "1000000").define("LUA_VECTOR_SIZE", "3");
        for api in ["LUA_API", "LUACODE_API", "LUAJITINLINER_API"] {
            build.define(api, "extern \"C\"");
        }
        build.compile(self.name);
    }
}

/// Where Luau's sources are.
fn sources() -> Option<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")))?;
    let registries = fs::read_dir(home.join("registry/src")).ok()?.flatten();
    let mut unpacked = registries.map(|registry| registry.path().join(UNPACKED).join("luau"));
    unpacked.find(|luau| luau.join("VM/src").is_dir())
}

/// Files of C++ in a folder, in order of name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = all.filter(|path| path.extension().is_some_and(|ending| ending == "cpp")).collect();
    files.sort();
    files
}
