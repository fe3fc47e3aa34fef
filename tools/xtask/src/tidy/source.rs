//! Headers, sizes, names and reasons of one source file.

use std::ops::Range;
use std::path::Path;

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Meta, Token};

/// Longest file in lines, tests not counted.
const FILE_LINES_MAX: usize = 600;
/// Longest function in lines.
const FUNCTION_LINES_MAX: usize = 70;
/// Longest comment line in columns.
const COMMENT_COLUMNS_MAX: usize = 130;
/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc", "shared", "manager", "managers"];
/// What must not be left behind or written at all; split here so that this file does not break its own rule.
const FORBIDDEN_WORDS: &[(&str, &str)] = &[
    (concat!("TO", "DO"), "finish it, or say so in the documentation"),
    (concat!("FIX", "ME"), "fix it, or say so in the documentation"),
    (concat!("#[", "ignore"), "a test that does not run proves nothing"),
    (concat!("unbounded", "_channel("), "every queue has a named bound"),
    (concat!("channel::", "unbounded("), "every queue has a named bound"),
];

/// Findings of one file, each with its line from 1, or 0 for the whole file.
pub(super) fn broken_rules(path: &Path, text: &str) -> Vec<(usize, String)> {
    let mut broken = Vec::new();
    broken.extend(name_rule(path));
    broken.extend(header_rule(path, text));
    broken.extend(line_rules(text));
    let is_test = is_test_file(path);
    if path.extension().is_some_and(|extension| extension == "rs") {
        match syn::parse_file(text) {
            Ok(file) => broken.extend(rust_rules(&file, text, is_test)),
            Err(error) => broken.push((error.span().start().line, format!("does not parse: {error}"))),
        }
    } else if !is_test {
        broken.extend(size_rule(text.lines().count()));
    }
    broken
}

fn name_rule(path: &Path) -> Option<(usize, String)> {
    let names = path.components().filter_map(|part| Path::new(part.as_os_str()).file_stem()?.to_str());
    let empty = names.into_iter().find(|name| EMPTY_NAMES.contains(name))?;
    Some((0, format!("`{empty}` says nothing: name it after what is inside")))
}

fn header_rule(path: &Path, text: &str) -> Option<(usize, String)> {
    let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!")).unwrap_or_default();
    let is_rust = path.extension().is_some_and(|extension| extension == "rs");
    let good = if is_rust { first.starts_with("//!") } else { first.starts_with("//") || first.starts_with("/*") };
    (!good).then(|| (1, "begin the file with a comment that says what is in it".to_owned()))
}

fn line_rules(text: &str) -> Vec<(usize, String)> {
    let mut broken = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let columns = line.chars().count();
        if line.trim_start().starts_with("//") && columns > COMMENT_COLUMNS_MAX {
            broken.push((number + 1, format!("a comment of {columns} columns; at most {COMMENT_COLUMNS_MAX}")));
        }
        for (word, why) in FORBIDDEN_WORDS.iter().filter(|(word, _)| line.contains(word)) {
            broken.push((number + 1, format!("`{word}`: {why}")));
        }
    }
    broken
}

fn size_rule(lines: usize) -> Option<(usize, String)> {
    (lines > FILE_LINES_MAX).then(|| (0, format!("{lines} lines without tests; at most {FILE_LINES_MAX}: split it by noun")))
}

fn is_test_file(path: &Path) -> bool {
    let in_tests = path.parent().into_iter().flat_map(Path::components).any(|part| {
        let part = part.as_os_str();
        part == "test" || part == "e2e" || part == "mock"
    });
    // The `tests` crate's own code under `tests/src` is code like any other; `tests` folders elsewhere hold tests.
    let folder_of_tests = path.ancestors().skip(1).any(|parent| parent.ends_with("tests") && parent != Path::new("tests"));
    in_tests || folder_of_tests || path.file_name().is_some_and(|file| file == "tests.rs")
}

fn rust_rules(file: &syn::File, text: &str, is_test: bool) -> Vec<(usize, String)> {
    let mut reader = Reader::default();
    reader.visit_file(file);
    if !is_test {
        let tests: usize = reader.test_lines.iter().map(Range::len).sum();
        reader.broken.extend(size_rule(text.lines().count().saturating_sub(tests)));
        let in_tests = |line: &usize| reader.test_lines.iter().any(|lines| lines.contains(line));
        for (line, name, length) in
            reader.functions.iter().filter(|(line, _, length)| *length > FUNCTION_LINES_MAX && !in_tests(line))
        {
            let text = format!("`{name}` has {length} lines; at most {FUNCTION_LINES_MAX}");
            reader.broken.push((*line, text));
        }
    }
    reader.broken
}

/// Walks a file's syntax.
#[derive(Default)]
struct Reader {
    /// First line, name, lines.
    functions: Vec<(usize, String, usize)>,
    /// Lines of test modules, attributes included.
    test_lines: Vec<Range<usize>>,
    broken: Vec<(usize, String)>,
}

impl Reader {
    fn function(&mut self, name: &syn::Ident, span: Span) {
        self.functions.push((name.span().start().line, name.to_string(), span.end().line - name.span().start().line + 1));
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig.ident, item.block.span());
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig.ident, item.block.span());
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.content.is_some() && item.attrs.iter().any(is_cfg_test) {
            let first = item.attrs.iter().map(|attribute| attribute.span().start().line).min().unwrap_or_default();
            self.test_lines.push(first..item.span().end().line + 1);
        }
        visit::visit_item_mod(self, item);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            let loosens = list.path.is_ident("allow") || list.path.is_ident("expect");
            let arguments = attribute.parse_args_with(syn::punctuated::Punctuated::<Meta, Token![,]>::parse_terminated);
            let reasoned = arguments.is_ok_and(|all| all.iter().any(|meta| meta.path().is_ident("reason")));
            if loosens && !reasoned {
                let text = "a lint is loosened without `reason = \"…\"`".to_owned();
                self.broken.push((attribute.span().start().line, text));
            }
        }
    }
}

fn is_cfg_test(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|argument| argument == "test")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<String> {
        broken_rules(Path::new(path), text).into_iter().map(|(line, why)| format!("{line}: {why}")).collect()
    }

    #[test]
    fn a_good_file_breaks_no_rule() {
        assert_eq!(rules("scene/src/tick.rs", "//! Ticks.\n\nfn tick() {}\n"), [""; 0]);
        assert_eq!(rules("tools/web/src/main.ts", "// The page.\n"), [""; 0]);
    }

    #[test]
    fn files_begin_with_a_header() {
        let expected = ["1: begin the file with a comment that says what is in it"];
        assert_eq!(rules("scene/src/tick.rs", "fn tick() {}\n"), expected);
        assert_eq!(rules("schemas/fbs/node.fbs", "namespace pangaea;\n"), expected);
    }

    #[test]
    fn long_functions_are_named_but_not_in_tests() {
        let long = format!("fn long() {{\n{}}}\n", "    step();\n".repeat(70));
        assert_eq!(rules("scene/src/tick.rs", &format!("//! T.\n{long}")), ["2: `long` has 72 lines; at most 70"]);
        let tested = format!("//! T.\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
        assert_eq!(rules("scene/src/tick.rs", &tested), [""; 0]);
        assert_eq!(rules("scene/src/tick/tests.rs", &format!("//! T.\n{long}")), [""; 0]);
    }

    #[test]
    fn long_files_are_counted_without_their_tests() {
        let items = "const A: u8 = 0;\n".repeat(600);
        assert_eq!(rules("scene/src/tick.rs", &format!("//! T.\n{items}")).len(), 1);
        let tests = format!("//! T.\n#[cfg(test)]\nmod tests {{\n{items}}}\n");
        assert_eq!(rules("scene/src/tick.rs", &tests), [""; 0]);
    }

    #[test]
    fn lints_are_loosened_with_a_reason() {
        let bare = "//! T.\n#[allow(dead_code)]\nfn f() {}\n";
        assert_eq!(rules("scene/src/tick.rs", bare), ["2: a lint is loosened without `reason = \"…\"`"]);
        let reasoned = "//! T.\n#[allow(dead_code, reason = \"why\")]\nfn f() {}\n";
        assert_eq!(rules("scene/src/tick.rs", reasoned), [""; 0]);
    }

    #[test]
    fn empty_names_and_leftovers_are_found() {
        assert_eq!(rules("scene/src/utils.rs", "//! T.\n"), ["0: `utils` says nothing: name it after what is inside"]);
        assert_eq!(rules("scene/src/common/tick.rs", "//! T.\n").len(), 1);
        let left = format!("//! T.\n// {}: later\n", concat!("TO", "DO"));
        assert_eq!(rules("scene/src/tick.rs", &left).len(), 1);
        let wide = format!("//! T.\n// {}\n", "x".repeat(140));
        assert_eq!(rules("scene/src/tick.rs", &wide), ["2: a comment of 143 columns; at most 130"]);
    }
}
