//! `#[tunable]`: from a struct whose fields say their first value and their range to its `Tunables`.

use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Attribute, Error, Expr, ExprLit, Field, Fields, Ident, ItemStruct, Lit, Meta, RangeLimits, Result, Token, Type};

pub(crate) fn expand(arguments: Tokens, item: Tokens) -> Tokens {
    let name = super::parse_name(arguments);
    let tuned = name.and_then(|name| syn::parse2::<ItemStruct>(item).and_then(|item| tunables(name, item)));
    tuned.unwrap_or_else(|error| error.to_compile_error())
}

/// What stands in `#[tune(…)]`: a first value and perhaps a range with both ends.
struct Tune {
    initial: Expr,
    range: Option<(Expr, Expr)>,
}

impl Parse for Tune {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let initial = input.parse()?;
        if input.is_empty() {
            return Ok(Self { initial, range: None });
        }
        input.parse::<Token![,]>()?;
        let range = input.parse::<Expr>()?;
        let span = range.span();
        match range {
            Expr::Range(range) if matches!(range.limits, RangeLimits::Closed(_)) => match (range.start, range.end) {
                (Some(start), Some(end)) => Ok(Self { initial, range: Some((*start, *end)) }),
                _ => Err(Error::new(span, "say both ends of the range, as in `0.0..=20.0`")),
            },
            _ => Err(Error::new(span, "say the range with both ends, as in `0.0..=20.0`")),
        }
    }
}

fn tunables(name: Option<String>, mut item: ItemStruct) -> Result<Tokens> {
    let ident = item.ident.clone();
    let group = name.unwrap_or_else(|| super::snake_case(&ident.to_string()));
    let Fields::Named(fields) = &mut item.fields else {
        return Err(Error::new(ident.span(), "tunables are a struct with named fields, each with `#[tune(…)]`"));
    };
    let mut specs = Vec::new();
    let mut initials = Vec::new();
    let mut arms = Vec::new();
    for field in &mut fields.named {
        let tune = take_tune(field)?;
        let Some(name) = field.ident.clone() else { continue };
        let about = words(&field.attrs);
        if about.is_empty() {
            return Err(Error::new(name.span(), "say above the field what it does: `/// …` is what designers read"));
        }
        specs.push(spec(&group, &name, &about, &field.ty, &tune)?);
        let (label, initial) = (name.to_string(), &tune.initial);
        initials.push(quote! { #name: ::pangaea_scene::ecs::TuneField::begin(#initial) });
        arms.push(quote! { #label => ::pangaea_scene::ecs::TuneField::tune(&mut self.#name, value) });
    }
    Ok(quote! {
        #[derive(Clone, Debug)]
        #item

        impl ::pangaea_scene::ecs::Tunables for #ident {
            const NAME: &'static str = #group;

            fn specs() -> ::std::vec::Vec<::pangaea_scene::ecs::TuneSpec> {
                ::std::vec![#(#specs),*]
            }

            fn begin() -> Self {
                Self { #(#initials),* }
            }

            fn tune(&mut self, field: &str, value: &::pangaea_scene::ecs::TuneValue) {
                match field {
                    #(#arms,)*
                    _ => {}
                }
            }
        }
    })
}

fn spec(group: &str, name: &Ident, about: &str, ty: &Type, tune: &Tune) -> Result<Tokens> {
    let full = format!("{group}.{name}");
    let initial = &tune.initial;
    let range = match (&tune.range, has_range(ty)) {
        (Some((start, end)), true) => quote! { ::core::option::Option::Some((#start, #end)) },
        (None, false) => quote! { ::core::option::Option::None },
        (None, true) => {
            return Err(Error::new(initial.span(), "say from where to where it may go, as in `#[tune(2.4, 0.0..=20.0)]`"));
        }
        (Some((start, _)), false) => return Err(Error::new(start.span(), "only numbers have a range")),
    };
    Ok(quote! { <#ty as ::pangaea_scene::ecs::TuneField>::spec(#full, #about, #initial, #range) })
}

/// Flags and texts have none.
fn has_range(ty: &Type) -> bool {
    let Type::Path(path) = ty else { return true };
    path.path.segments.last().is_none_or(|last| last.ident != "bool" && last.ident != "Text")
}

fn take_tune(field: &mut Field) -> Result<Tune> {
    let at = field.attrs.iter().position(|attribute| attribute.path().is_ident("tune"));
    let Some(at) = at else {
        let text = "say what it begins with and its range, as in `#[tune(2.4, 0.0..=20.0)]`";
        return Err(Error::new(field.span(), text));
    };
    field.attrs.remove(at).parse_args()
}

/// The doc comment in one line.
fn words(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join(" ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(field: Tokens) -> String {
        expand(Tokens::new(), quote! { struct Wolves { #field } }).to_string()
    }

    #[test]
    fn every_mistake_is_told_with_its_fix() {
        let mistakes = [
            (quote! { #[doc = "Speed."] speed: f32 }, "say what it begins with and its range"),
            (quote! { #[doc = "Speed."] #[tune(2.0)] speed: f32 }, "say from where to where it may go"),
            (quote! { #[doc = "Speed."] #[tune(2.0, 0.0..9.0)] speed: f32 }, "with both ends"),
            (quote! { #[doc = "Speed."] #[tune(2.0, 0.0..=9.0)] #[doc = ""] howl: bool }, "only numbers have a range"),
            (quote! { #[tune(2.0, 0.0..=9.0)] speed: f32 }, "say above the field what it does"),
        ];
        for (field, fix) in mistakes {
            let said = said(field.clone());
            assert!(said.contains("compile_error") && said.contains(fix), "{field} says {said}");
        }
        let tuple = expand(Tokens::new(), quote! { struct Wolves(f32); }).to_string();
        assert!(tuple.contains("named fields"), "{tuple}");
    }

    #[test]
    fn names_are_those_of_group_and_field() {
        let said = said(quote! { #[doc = " How fast"] #[doc = " they are."] #[tune(2.0, 0.0..=9.0)] speed: f32 });
        assert!(said.contains("\"wolves.speed\"") && said.contains("\"How fast they are.\""), "{said}");
    }
}
