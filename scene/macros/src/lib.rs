//! Attributes that make a struct one of the game's plain types: `#[component]`, `#[input]`, `#[event]`, `#[effect]`.
//!
//! Each adds `#[repr(C)]`, the usual derives, `Pod`, and the description (`Plain`) from which records, feeds and clients learn
//! the layout. A struct that cannot be plain data is refused with a sentence that says what to do instead.

mod tunable;
mod versions;

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::{Attribute, Error, Field, Fields, Ident, Item, ItemStruct, LitStr, Result, Type};
use versions::Given;

/// State of an entity. Its registered name is the struct's in snake case, or `#[component(name = "other")]`.
///
/// Another layout of a component that worlds have already is its next version. Fields that are only added, with what they are for
/// entities from before: `#[component(version = 2, added(armour = 0.0))]`. Anything else, with the struct as it was, which keeps
/// the name, and `From` both ways: `#[component(version = 2, was = HealthBefore)]`. Further versions add further `added(…)`, or
/// are made of the one before, which says the same of its own former layout.
#[proc_macro_attribute]
pub fn component(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand(Sort::Component, arguments.into(), item.into()).into()
}

/// What a client may send for its agent.
#[proc_macro_attribute]
pub fn input(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand(Sort::Input, arguments.into(), item.into()).into()
}

/// What a player is told reliably.
#[proc_macro_attribute]
pub fn event(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand(Sort::Event, arguments.into(), item.into()).into()
}

/// What one entity does to another, wherever that one lives.
#[proc_macro_attribute]
pub fn effect(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand(Sort::Effect, arguments.into(), item.into()).into()
}

/// Values that designers tune while the world runs. Each field says what it begins with and, for numbers, from where to where it
/// may go: `#[tune(2.4, 0.0..=20.0)]`, `#[tune(true)]`. The comments above the fields are what designers read.
#[proc_macro_attribute]
pub fn tunable(arguments: TokenStream, item: TokenStream) -> TokenStream {
    tunable::expand(arguments.into(), item.into()).into()
}

#[derive(Clone, Copy)]
enum Sort {
    Component,
    Input,
    Event,
    Effect,
}

fn expand(sort: Sort, arguments: Tokens, item: Tokens) -> Tokens {
    let given = syn::parse2::<Given>(arguments).and_then(|given| given.check(sort));
    let item = syn::parse2::<Item>(item).and_then(plain_struct);
    match (given, item) {
        (Ok(given), Ok(item)) => plain(sort, given, &item).unwrap_or_else(|error| error.to_compile_error()),
        (Err(mut first), Err(second)) => {
            first.combine(second);
            first.to_compile_error()
        }
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => error.to_compile_error(),
    }
}

/// `name = "Other"`, or nothing.
fn parse_name(arguments: Tokens) -> Result<Option<String>> {
    if arguments.is_empty() {
        return Ok(None);
    }
    let given: syn::MetaNameValue = syn::parse2(arguments)?;
    if !given.path.is_ident("name") {
        return Err(Error::new(given.path.span(), "expected nothing or `name = \"…\"`"));
    }
    Ok(Some(syn::parse2::<LitStr>(given.value.into_token_stream())?.value()))
}

fn plain_struct(item: Item) -> Result<ItemStruct> {
    let item = match item {
        Item::Struct(item) => item,
        Item::Enum(item) => {
            let text = "plain types are structs: keep the choice in a `u8` field and name its values with constants";
            return Err(Error::new(item.ident.span(), text));
        }
        other => return Err(Error::new(other.span(), "plain types are structs")),
    };
    if !item.generics.params.is_empty() {
        let text = "plain types have no type parameters or lifetimes: write one struct per case";
        return Err(Error::new(item.generics.span(), text));
    }
    if let Some(taken) = item.attrs.iter().find(|a| is_ours(a)) {
        return Err(Error::new(taken.span(), "the attribute already adds `repr(C)` and the derives: remove this line"));
    }
    match &item.fields {
        Fields::Named(fields) => fields.named.iter().try_for_each(check_field)?,
        Fields::Unit => {}
        Fields::Unnamed(fields) => {
            return Err(Error::new(
                fields.span(),
                "give the fields names: clients see them, as in `struct Gold { amount: u32 }`",
            ));
        }
    }
    Ok(item)
}

/// `repr`, or a derive of something that the expansion derives itself.
fn is_ours(attribute: &Attribute) -> bool {
    if attribute.path().is_ident("repr") {
        return true;
    }
    let ours = ["Clone", "Copy", "Debug", "PartialEq", "Pod", "Zeroable", "Component"];
    let mut found = false;
    if attribute.path().is_ident("derive") {
        // A derive that does not parse is reported by the compiler itself.
        let _ = attribute.parse_nested_meta(|meta| {
            found |= meta.path.segments.last().is_some_and(|last| ours.iter().any(|name| last.ident == name));
            Ok(())
        });
    }
    found
}

fn check_field(field: &Field) -> Result<()> {
    let advice = match &field.ty {
        Type::Reference(_) | Type::Ptr(_) => "a plain type holds no references: keep the `EntityId` of what it points to",
        Type::Tuple(_) => "a plain type holds no tuples: write one field per part",
        Type::Path(path) => match path.path.segments.last().map(|last| last.ident.to_string()).as_deref() {
            Some("String" | "str") => "a plain type has a fixed size: use `Text<N>` with the most bytes it may need",
            Some("Vec" | "VecDeque" | "BTreeMap" | "BTreeSet" | "HashMap" | "HashSet") => {
                "a plain type has a fixed size: use an array with a bound, or register the type with `codec_component`"
            }
            Some("Box" | "Rc" | "Arc") => "a plain type holds no pointers: keep the value itself",
            Some("Option") => "not every pattern of bits is an `Option`: use a value that means none, such as `EntityId::NONE`",
            Some("bool") => "not every byte is a `bool`: use `u8`, 0 or 1",
            Some("char") => "not every number is a `char`: use `u32`",
            Some("usize" | "isize") => "its size differs between machines: use `u32` or `u64`",
            Some("Entity") => "bevy's `Entity` never leaves a process: use `EntityId`",
            _ => return Ok(()),
        },
        _ => return Ok(()),
    };
    Err(Error::new(field.ty.span(), advice))
}

fn plain(sort: Sort, given: Given, item: &ItemStruct) -> Result<Tokens> {
    let ident = &item.ident;
    let name = given.name.as_ref().map_or_else(|| snake_case(&ident.to_string()), LitStr::value);
    let (version, former, formers) = versions::expand(&given, &name, item)?;
    let fields: Vec<(&Ident, &Type)> = item.fields.iter().filter_map(|f| f.ident.as_ref().map(|i| (i, &f.ty))).collect();
    let padding = padding_check(ident, &fields);
    let (names, types): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
    let labels = names.iter().map(|ident| ident.to_string());
    let component = matches!(sort, Sort::Component).then(|| as_component(ident));
    Ok(quote! {
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq)]
        #item

        #padding

        // SAFETY: all fields are plain (`FieldKind` requires `Pod`), there are no type parameters and, as checked above, no
        // padding.
        unsafe impl ::pangaea_scene::ecs::bytemuck::Zeroable for #ident {}
        // SAFETY: as above, and the struct is `repr(C)`.
        unsafe impl ::pangaea_scene::ecs::bytemuck::Pod for #ident {}

        impl ::pangaea_scene::ecs::Plain for #ident {
            const NAME: &'static str = #name;
            const VERSION: u16 = #version;
            const FIELDS: &'static [::pangaea_scene::ecs::PlainField] = &[#(
                ::pangaea_scene::ecs::PlainField {
                    name: #labels,
                    offset: ::core::mem::offset_of!(#ident, #names) as u16,
                    parts: <#types as ::pangaea_scene::ecs::FieldKind>::PARTS,
                }
            ),*];

            #formers
        }

        #component

        #former
    })
}

/// `PickUp` is told to clients as `pick_up`.
fn snake_case(ident: &str) -> String {
    let mut name = String::new();
    for letter in ident.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

/// A compile error in words when the compiler would put unnamed bytes between the fields.
fn padding_check(ident: &Ident, fields: &[(&Ident, &Type)]) -> Tokens {
    let types = fields.iter().map(|(_, ty)| ty);
    let message =
        format!("`{ident}` has gaps between its fields: order them from large to small and fill the end, as in `pad: [u8; 3]`");
    quote! {
        const _: () = assert!(
            ::core::mem::size_of::<#ident>() == 0 #(+ <#types as ::pangaea_scene::ecs::FieldKind>::BYTES)*,
            #message
        );
    }
}

fn as_component(ident: &Ident) -> Tokens {
    quote! {
        impl ::pangaea_scene::ecs::bevy_ecs::component::Component for #ident {
            const STORAGE_TYPE: ::pangaea_scene::ecs::bevy_ecs::component::StorageType =
                ::pangaea_scene::ecs::bevy_ecs::component::StorageType::Table;
            type Mutability = ::pangaea_scene::ecs::bevy_ecs::component::Mutable;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the compiler would say of the item, or its expansion.
    fn check(item: Tokens) -> String {
        expand(Sort::Component, Tokens::new(), item).to_string()
    }

    #[test]
    fn every_mistake_is_told_with_its_fix() {
        let mistakes = [
            (
                quote!(
                    struct A {
                        name: String,
                    }
                ),
                "use `Text<N>`",
            ),
            (
                quote!(
                    struct A {
                        items: Vec<u32>,
                    }
                ),
                "use an array with a bound",
            ),
            (
                quote!(
                    struct A {
                        alive: bool,
                    }
                ),
                "use `u8`, 0 or 1",
            ),
            (
                quote!(
                    struct A {
                        whom: Option<EntityId>,
                    }
                ),
                "`EntityId::NONE`",
            ),
            (
                quote!(
                    struct A {
                        whom: bevy_ecs::entity::Entity,
                    }
                ),
                "use `EntityId`",
            ),
            (
                quote!(
                    struct A {
                        next: &'static u32,
                    }
                ),
                "holds no references",
            ),
            (
                quote!(
                    struct A {
                        next: Box<u32>,
                    }
                ),
                "holds no pointers",
            ),
            (
                quote!(
                    struct A {
                        count: usize,
                    }
                ),
                "use `u32` or `u64`",
            ),
            (
                quote!(
                    struct A {
                        pair: (u8, u8),
                    }
                ),
                "one field per part",
            ),
            (
                quote!(
                    struct A<T> {
                        value: T,
                    }
                ),
                "no type parameters",
            ),
            (
                quote!(
                    struct A(u32);
                ),
                "give the fields names",
            ),
            (
                quote!(
                    enum A {
                        B,
                        C,
                    }
                ),
                "keep the choice in a `u8`",
            ),
            (
                quote!(
                    #[derive(Clone)]
                    struct A {
                        value: u8,
                    }
                ),
                "remove this line",
            ),
            (
                quote!(
                    #[repr(C)]
                    struct A {
                        value: u8,
                    }
                ),
                "remove this line",
            ),
        ];
        for (item, fix) in mistakes {
            let said = check(item.clone());
            assert!(said.contains("compile_error") && said.contains(fix), "{item} says {said}");
        }
    }

    #[test]
    fn gaps_are_checked_by_size_and_told_in_words() {
        let said = check(quote!(
            struct A {
                small: u8,
                large: u32,
            }
        ));
        assert!(!said.contains("compile_error") && said.contains("`A` has gaps between its fields"), "{said}");
    }

    #[test]
    fn names_are_in_snake_case_unless_given() {
        assert!(
            check(quote!(
                struct PickUp {
                    item: u64,
                }
            ))
            .contains("\"pick_up\"")
        );
        let given = expand(
            Sort::Input,
            quote!(name = "grab"),
            quote!(
                struct PickUp {
                    item: u64,
                }
            ),
        )
        .to_string();
        assert!(given.contains("\"grab\"") && !given.contains("\"pick_up\""));
        let wrong = expand(
            Sort::Input,
            quote!(id = 3),
            quote!(
                struct A {
                    item: u64,
                }
            ),
        )
        .to_string();
        assert!(wrong.contains("expected `name = "));
    }

    #[test]
    fn other_derives_stay() {
        let said = check(quote!(
            #[derive(Default, Eq)]
            struct A {
                item: u64,
            }
        ));
        assert!(said.contains("derive (Default , Eq)") && !said.contains("compile_error"), "{said}");
    }
}
