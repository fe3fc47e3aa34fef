//! What stands in the brackets of `#[component(…)]`: the name, and what the component was before.

use proc_macro2::TokenStream as Tokens;
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, Expr, Ident, ItemStruct, LitInt, LitStr, Path, Result, Token, parenthesized};

use crate::Sort;

/// As in `schemas::registry`.
const VERSIONS_MAX: u16 = 16;

/// What was given.
#[derive(Default)]
pub(crate) struct Given {
    pub(crate) name: Option<LitStr>,
    version: Option<LitInt>,
    was: Option<Path>,
    /// Fields that each version added, with what they are for entities from before; the earliest version first.
    added: Vec<Added>,
}

/// `added(armour = 0.0, pad = [0; 4])`.
#[derive(Clone)]
struct Added(Punctuated<Value, Token![,]>);

#[derive(Clone)]
struct Value {
    field: Ident,
    value: Expr,
}

impl Parse for Value {
    fn parse(input: ParseStream) -> Result<Self> {
        let field = input.parse()?;
        input.parse::<Token![=]>()?;
        Ok(Self { field, value: input.parse()? })
    }
}

impl Parse for Given {
    fn parse(input: ParseStream) -> Result<Self> {
        let mut given = Self::default();
        while !input.is_empty() {
            let key = input.call(Ident::parse_any)?;
            if key == "added" {
                let fields;
                parenthesized!(fields in input);
                given.added.push(Added(Punctuated::parse_terminated(&fields)?));
            } else {
                let equals = input.parse::<Token![=]>();
                match key.to_string().as_str() {
                    "name" => given.name = equals.and_then(|_| input.parse()).map(Some)?,
                    "version" => given.version = equals.and_then(|_| input.parse()).map(Some)?,
                    "was" => given.was = equals.and_then(|_| input.parse()).map(Some)?,
                    _ => return Err(Error::new(key.span(), EXPECTED)),
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(given)
    }
}

const EXPECTED: &str = "expected `name = \"…\"` or, of a component that has another layout now, `version = 2` with \
                        `added(field = value)` or `was = Before`";

impl Given {
    pub(crate) fn check(self, sort: Sort) -> Result<Self> {
        let versioned = [
            self.version.as_ref().map(Spanned::span),
            self.was.as_ref().map(Spanned::span),
            self.added.first().and_then(|added| added.0.first()).map(|value| value.field.span()),
        ];
        match (sort, versioned.into_iter().flatten().next()) {
            (Sort::Component, _) | (_, None) => Ok(self),
            (Sort::Input | Sort::Event | Sort::Effect, Some(at)) => Err(Error::new(
                at,
                "only components have versions, since only they last: give what is said now another name, and keep this one until no \
                 build that says it runs any more",
            )),
        }
    }

    fn version(&self) -> Result<u16> {
        let Some(version) = &self.version else { return Ok(1) };
        let number = version.base10_parse::<u16>()?;
        if (1..=VERSIONS_MAX).contains(&number) {
            return Ok(number);
        }
        Err(Error::new(version.span(), format!("versions are 1 to {VERSIONS_MAX}")))
    }
}

/// The version, what is to be declared beside the struct, and what belongs into its description.
pub(crate) fn expand(given: &Given, name: &str, item: &ItemStruct) -> Result<(u16, Tokens, Tokens)> {
    let version = given.version()?;
    let steps = given.added.len() + usize::from(given.was.is_some());
    let at = given.version.as_ref().map_or_else(|| item.ident.span(), |version| version.span());
    match (&given.was, given.added.split_last()) {
        (None, None) => Ok((version, Tokens::new(), Tokens::new())),
        (Some(was), Some(_)) => {
            let text = "`was` names the whole former layout, `added` what was added to it: give one of them";
            Err(Error::new(was.span(), text))
        }
        (Some(_), None) | (None, Some(_)) if usize::from(version) <= steps => {
            let text = format!("it has another layout now, so it is another version: `version = {}`", steps + 1);
            Err(Error::new(at, text))
        }
        (Some(was), None) => Ok((version, forerunner_check(was, name, version), formers(&item.ident, was))),
        (None, Some((last, earlier))) => {
            let former = format_ident!("{}V{}", item.ident, version - 1);
            let declared = declare(&former, (name, version - 1), (last, earlier), item)?;
            Ok((version, declared, formers(&item.ident, &former.into())))
        }
    }
}

/// How the struct is told as it was, and as that was before.
fn formers(ident: &Ident, was: &Path) -> Tokens {
    quote! {
        fn formers() -> ::std::vec::Vec<::pangaea_scene::ecs::Former> {
            let mut formers = ::std::vec![::pangaea_scene::ecs::Former::of::<#was, #ident>()];
            formers.extend(<#was as ::pangaea_scene::ecs::Plain>::formers());
            formers
        }
    }
}

/// The former layout has the same name and an earlier version, or it is another component.
fn forerunner_check(was: &Path, name: &str, version: u16) -> Tokens {
    let path = quote!(#was).to_string();
    let first = if version == 2 { String::new() } else { format!(", version = {}", version - 1) };
    let text = format!("`{path}` is to be the layout before: write `#[component(name = \"{name}\"{first})]` above it");
    quote! {
        const _: () = assert!(
            ::pangaea_scene::ecs::is_same(<#was as ::pangaea_scene::ecs::Plain>::NAME, #name)
                && <#was as ::pangaea_scene::ecs::Plain>::VERSION < #version,
            #text
        );
    }
}

/// The struct without what was added last, and both made from each other.
fn declare(
    former: &Ident,
    (name, version): (&str, u16),
    (last, earlier): (&Added, &[Added]),
    item: &ItemStruct,
) -> Result<Tokens> {
    let (ident, visibility) = (&item.ident, &item.vis);
    let is_added = |field: &Ident| last.0.iter().any(|value| value.field == *field);
    let known = |field: &Ident| item.fields.iter().any(|f| f.ident.as_ref() == Some(field));
    if let Some(stranger) = last.0.iter().find(|value| !known(&value.field)) {
        return Err(Error::new(stranger.field.span(), format!("`{ident}` has no field of this name")));
    }
    let kept: Vec<_> = item.fields.iter().filter(|f| f.ident.as_ref().is_some_and(|name| !is_added(name))).collect();
    let fields = kept.iter().map(|field| {
        let (visibility, name, ty) = (&field.vis, &field.ident, &field.ty);
        let text = format!(" As in [`{ident}`].");
        quote!(#[doc = #text] #visibility #name: #ty)
    });
    let names: Vec<_> = kept.iter().map(|field| &field.ident).collect();
    let (fresh, values): (Vec<_>, Vec<_>) = last.0.iter().map(|value| (&value.field, &value.value)).unzip();
    let before = earlier.iter().map(|Added(values)| {
        let (fields, values): (Vec<_>, Vec<_>) = values.iter().map(|value| (&value.field, &value.value)).unzip();
        quote!(, added(#(#fields = #values),*))
    });
    let text = format!(" [`{ident}`] as it was in version {version}.");
    Ok(quote! {
        #[doc = #text]
        #[::pangaea_scene::prelude::component(name = #name, version = #version #(#before)*)]
        #visibility struct #former {
            #(#fields),*
        }

        impl ::core::convert::From<#former> for #ident {
            fn from(former: #former) -> Self {
                Self { #(#names: former.#names,)* #(#fresh: #values),* }
            }
        }

        impl ::core::convert::From<#ident> for #former {
            fn from(now: #ident) -> Self {
                Self { #(#names: now.#names),* }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(sort: Sort, arguments: Tokens) -> String {
        let item = quote!(
            struct Health {
                now: f32,
                armour: f32,
            }
        );
        crate::expand(sort, arguments, item).to_string()
    }

    #[test]
    fn mistakes_in_a_version_are_told_with_their_fix() {
        let mistakes = [
            (quote!(added(armour = 0.0)), "`version = 2`"),
            (quote!(was = Before), "`version = 2`"),
            (quote!(version = 2, added(armour = 0.0), added(now = 1.0)), "`version = 3`"),
            (quote!(version = 2, was = Before, added(armour = 0.0)), "give one of them"),
            (quote!(version = 2, added(shield = 0.0)), "`Health` has no field of this name"),
            (quote!(version = 17), "versions are 1 to 16"),
            (quote!(id = 3), "expected `name = "),
        ];
        for (arguments, fix) in mistakes {
            let said = said(Sort::Component, arguments.clone());
            assert!(said.contains("compile_error") && said.contains(fix), "{arguments} says {said}");
        }
        let effect = said(Sort::Effect, quote!(version = 2, was = Before));
        assert!(effect.contains("compile_error") && effect.contains("only components have versions"), "{effect}");
    }

    #[test]
    fn added_fields_make_the_struct_as_it_was() {
        let said = said(Sort::Component, quote!(version = 2, added(armour = 0.0)));
        assert!(!said.contains("compile_error"), "{said}");
        assert!(said.contains("struct HealthV1") && said.contains("name = \"health\" , version = 1u16"), "{said}");
    }

    #[test]
    fn a_former_layout_is_checked_for_its_name() {
        let said = said(Sort::Component, quote!(version = 3, was = Before));
        assert!(said.contains("write `#[component(name = \\\"health\\\", version = 2)]` above it"), "{said}");
    }
}
