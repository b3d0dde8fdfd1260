//! Checks that a component's functions have the types that Skep calls and offers.
//!
//! The engine checks exports only at the call, which is too late to refuse the component, and
//! imports only after compiling. Only the compiler child calls this, because types are untrusted
//! and as deep as they like.

use std::collections::HashMap;

use skep_protocol::text::brief;
use wasmparser::component_types::{
    ComponentAnyTypeId, ComponentDefinedType, ComponentEntityType, ComponentFuncType,
    ComponentInstanceType, ComponentItem, ComponentValType, ResourceId,
};
use wasmparser::names::KebabString;
use wasmparser::types::{Types, TypesRef};

use super::interfaces::InterfaceName;
use super::offered::{self, OfferedFunction, WitType};

/// The interfaces that Skep calls.
const CALLED: &[(&str, &str)] = &[
    ("skep:worker/handler", "0.1.0"),
    ("skep:worker/lifecycle", "0.1.0"),
    ("skep:worker/web", "0.1.0"),
    ("wasi:cli/run", "0.2.12"),
    ("wasi:cli/run", "0.3.0"),
];

/// Maximum characters of one type in an error.
const SHOWN: usize = 400;

/// A function with another type than Skep's, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its types do not match those that Skep offers: {0}")]
pub struct Misfit(pub(crate) String);

/// Checks the types of a valid component's imports and exports. `names` lists both.
pub(crate) fn fit(imports: &[String], exports: &[String], types: &Types) -> Result<(), Misfit> {
    let types = types.as_ref();
    for name in imports {
        if let Some(instance) = instance(types, types.component_item_for_import(name)) {
            Side { types, instance, resources: resources(instance) }.imported(name)?;
        }
    }
    for name in exports {
        let parsed = InterfaceName::parse(name);
        if !CALLED.iter().any(|(called, version)| parsed.matches(called, version)) {
            continue;
        }
        let item = types.component_item_for_export(name);
        let instance = instance(types, item).ok_or_else(|| {
            Misfit(format!("its export {} is not an interface", brief(name, SHOWN)))
        })?;
        Side { types, instance, resources: resources(instance) }.exported(&parsed)?;
    }
    Ok(())
}

fn instance<'a>(
    types: TypesRef<'a>,
    item: Option<&'a ComponentItem>,
) -> Option<&'a ComponentInstanceType> {
    match item?.ty {
        ComponentEntityType::Instance(id) => types.get(id),
        _ => None,
    }
}

/// Returns the names that an interface gives to resources.
fn resources(instance: &ComponentInstanceType) -> HashMap<ResourceId, &str> {
    let mut resources = HashMap::new();
    for (name, item) in &instance.exports {
        if let ComponentEntityType::Type { created: ComponentAnyTypeId::Resource(id), .. } = item.ty
        {
            resources.insert(id.resource(), name.as_str());
        }
    }
    resources
}

/// One interface of a component, imported or exported.
struct Side<'a> {
    types: TypesRef<'a>,
    instance: &'a ComponentInstanceType,
    resources: HashMap<ResourceId, &'a str>,
}

impl<'a> Side<'a> {
    /// Checks each function that the component imports.
    fn imported(&self, name: &str) -> Result<(), Misfit> {
        let interface = InterfaceName::parse(name);
        // Without a description, the linker checks the types.
        if offered::functions(&interface).next().is_none() {
            return Ok(());
        }
        for (name, item) in &self.instance.exports {
            let ComponentEntityType::Func(id) = item.ty else { continue };
            let function = &self.types[id];
            let offered = offered::functions(&interface).find(|offered| offered.name == name);
            let wrong = match offered {
                Some(offered) if self.is(function, offered) => continue,
                Some(offered) => format!("Skep offers `{}`", brief(&offered.to_string(), SHOWN)),
                None => "Skep has no such function".to_owned(),
            };
            let (name, own) = (brief(name, SHOWN), self.shown(function));
            return Err(Misfit(format!(
                "it imports `{name}` of {interface} as `{own}`, and {wrong}"
            )));
        }
        Ok(())
    }

    /// Checks each function that Skep calls.
    fn exported(&self, interface: &InterfaceName) -> Result<(), Misfit> {
        for offered in offered::functions(interface) {
            let function = self.instance.exports.get(offered.name).and_then(|item| match item.ty {
                ComponentEntityType::Func(id) => Some(&self.types[id]),
                _ => None,
            });
            let has = match function {
                Some(function) if self.is(function, offered) => continue,
                Some(function) => format!("`{}` is `{}`", offered.name, self.shown(function)),
                None => format!("there is no `{}`", offered.name),
            };
            let called = offered.to_string();
            let called = brief(&called, SHOWN);
            return Err(Misfit(format!(
                "{has} in its export {interface}, and Skep calls `{called}`"
            )));
        }
        Ok(())
    }

    /// Returns true if a function has the offered type. Names of parameters do not matter.
    fn is(&self, function: &ComponentFuncType, offered: &OfferedFunction) -> bool {
        let mut params = function.params.iter().zip(offered.params);
        function.async_ == offered.is_async
            && function.params.len() == offered.params.len()
            && params.all(|((_, own), (_, offered))| self.same(*own, offered))
            && self.both(function.result, offered.result)
    }

    fn both(&self, own: Option<ComponentValType>, offered: Option<&WitType>) -> bool {
        match (own, offered) {
            (None, None) => true,
            (Some(own), Some(offered)) => self.same(own, offered),
            _ => false,
        }
    }

    /// Compares two types. Goes no deeper than the offered one.
    fn same(&self, own: ComponentValType, offered: &WitType) -> bool {
        let own = match own {
            ComponentValType::Primitive(own) => {
                return matches!(offered, WitType::Primitive(offered) if own == *offered);
            }
            ComponentValType::Type(id) => &self.types[id],
        };
        let all = |own: &[ComponentValType], offered: &[&WitType]| {
            own.len() == offered.len()
                && own.iter().zip(offered).all(|(own, offered)| self.same(*own, offered))
        };
        match (own, offered) {
            (ComponentDefinedType::Primitive(own), WitType::Primitive(offered)) => own == offered,
            (ComponentDefinedType::Record(own), WitType::Record(offered)) => {
                own.fields.len() == offered.len()
                    && own.fields.iter().zip(*offered).all(|((name, own), (known, offered))| {
                        is_named(name, known) && self.same(*own, offered)
                    })
            }
            (ComponentDefinedType::Variant(own), WitType::Variant(offered)) => {
                own.cases.len() == offered.len()
                    && own.cases.iter().zip(*offered).all(|((name, own), (known, offered))| {
                        is_named(name, known) && self.both(own.ty, *offered)
                    })
            }
            (ComponentDefinedType::Tuple(own), WitType::Tuple(offered)) => all(&own.types, offered),
            (ComponentDefinedType::Enum(own), WitType::Enum(offered))
            | (ComponentDefinedType::Flags(own), WitType::Flags(offered)) => {
                own.len() == offered.len()
                    && own.iter().zip(*offered).all(|(name, known)| is_named(name, known))
            }
            (ComponentDefinedType::Option { ty, .. }, WitType::Option(offered))
            | (ComponentDefinedType::List { element: ty, .. }, WitType::List(offered)) => {
                self.same(*ty, offered)
            }
            (ComponentDefinedType::Result { ok, err, .. }, WitType::Result(good, bad)) => {
                self.both(*ok, *good) && self.both(*err, *bad)
            }
            (ComponentDefinedType::Own(own), WitType::Own(offered))
            | (ComponentDefinedType::Borrow(own), WitType::Borrow(offered)) => {
                // The linker compares the resources themselves.
                self.resources.get(&own.resource()).is_none_or(|name| name == offered)
            }
            _ => false,
        }
    }

    /// Writes a function's type in WIT.
    fn shown(&self, function: &ComponentFuncType) -> String {
        let mut text = TypeText { side: self, text: String::new() };
        text.function(function);
        brief(&text.text, SHOWN).into_owned()
    }
}

fn is_named(name: &KebabString, known: &str) -> bool {
    name.as_str() == known
}

/// A type in WIT, as far as it is shown.
struct TypeText<'a> {
    side: &'a Side<'a>,
    text: String,
}

impl TypeText<'_> {
    fn function(&mut self, function: &ComponentFuncType) {
        self.text += if function.async_ { "async func(" } else { "func(" };
        self.list(function.params.iter(), |text, (name, ty)| text.field(name, *ty));
        self.text.push(')');
        if let Some(result) = function.result {
            self.text += " -> ";
            self.ty(result);
        }
    }

    fn field(&mut self, name: &KebabString, ty: ComponentValType) {
        self.text += name.as_str();
        self.text += ": ";
        self.ty(ty);
    }

    /// Writes items until there is more than is shown. A few bytes can describe a type of any
    /// length.
    fn list<T>(&mut self, items: impl Iterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        for (at, item) in items.enumerate() {
            if self.text.len() > SHOWN {
                return;
            }
            if at > 0 {
                self.text += ", ";
            }
            write(self, item);
        }
    }

    fn named<'n>(&mut self, word: &str, names: impl Iterator<Item = &'n KebabString>) {
        self.text += word;
        self.list(names, |text, name| text.text += name.as_str());
        self.text += " }";
    }

    fn within(&mut self, word: &str, types: &[ComponentValType]) {
        self.text += word;
        self.text.push('<');
        self.list(types.iter(), |text, ty| text.ty(*ty));
        self.text.push('>');
    }

    fn ty(&mut self, ty: ComponentValType) {
        if self.text.len() > SHOWN {
            return;
        }
        let ty = match ty {
            ComponentValType::Primitive(ty) => {
                self.text += &ty.to_string();
                return;
            }
            ComponentValType::Type(id) => &self.side.types[id],
        };
        match ty {
            ComponentDefinedType::Primitive(ty) => self.text += &ty.to_string(),
            ComponentDefinedType::Record(record) => {
                self.text += "record { ";
                self.list(record.fields.iter(), |text, (name, ty)| text.field(name, *ty));
                self.text += " }";
            }
            ComponentDefinedType::Variant(variant) => {
                self.text += "variant { ";
                self.list(variant.cases.iter(), |text, (name, case)| match case.ty {
                    Some(ty) => text.within_parentheses(name, ty),
                    None => text.text += name.as_str(),
                });
                self.text += " }";
            }
            ComponentDefinedType::Tuple(tuple) => self.within("tuple", &tuple.types),
            ComponentDefinedType::Enum(names) => self.named("enum { ", names.iter()),
            ComponentDefinedType::Flags(names) => self.named("flags { ", names.iter()),
            ComponentDefinedType::Option { ty, .. } => self.within("option", &[*ty]),
            ComponentDefinedType::List { element, .. } => self.within("list", &[*element]),
            ComponentDefinedType::Result { ok, err, .. } => self.result(*ok, *err),
            ComponentDefinedType::Own(id) => self.resource(id.resource()),
            ComponentDefinedType::Borrow(id) => {
                self.text += "borrow<";
                self.resource(id.resource());
                self.text.push('>');
            }
            // No other type is offered, so validation refuses them.
            _ => self.text.push('?'),
        }
    }

    fn within_parentheses(&mut self, name: &KebabString, ty: ComponentValType) {
        self.text += name.as_str();
        self.text.push('(');
        self.ty(ty);
        self.text.push(')');
    }

    fn result(&mut self, ok: Option<ComponentValType>, error: Option<ComponentValType>) {
        match (ok, error) {
            (None, None) => self.text += "result",
            (Some(ok), None) => self.within("result", &[ok]),
            (ok, Some(error)) => {
                self.text += "result<";
                match ok {
                    Some(ok) => self.ty(ok),
                    None => self.text.push('_'),
                }
                self.text += ", ";
                self.ty(error);
                self.text.push('>');
            }
        }
    }

    fn resource(&mut self, id: ResourceId) {
        self.text += self.side.resources.get(&id).copied().unwrap_or("resource");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::proposals::{OFFERED_CONCURRENTLY, examine};
    use crate::preflight::shape::names;

    fn check(wat: &str) -> Result<(), Misfit> {
        let wasm = wat::parse_str(wat).unwrap_or_else(|error| panic!("{wat}: {error}"));
        let types =
            examine(&wasm, OFFERED_CONCURRENTLY).unwrap_or_else(|error| panic!("{wat}: {error:?}"));
        let (imports, exports) = names(&wasm);
        fit(&imports, &exports, &types)
    }

    fn why(wat: &str) -> String {
        check(wat).unwrap_err().0
    }

    /// A component that exports an interface with one function. `types` defines and exports types.
    fn exporting(interface: &str, types: &str, function: &str, ty: &str) -> String {
        format!(
            r#"(component
                (component $c
                    (import "f" (func $f {ty}))
                    {types}
                    (export "{function}" (func $f)))
                (import "f" (func $f {ty}))
                (instance $i (instantiate $c (with "f" (func $f))))
                (export "{interface}" (instance $i)))"#
        )
    }

    /// A component that imports an interface with these declarations.
    fn importing(interface: &str, declarations: &str) -> String {
        format!(r#"(component (import "{interface}" (instance {declarations})))"#)
    }

    #[test]
    fn a_function_that_skep_calls_must_have_its_type() {
        let run = "wasi:cli/run@0.2.0";
        assert_eq!(check(&exporting(run, "", "run", "(result (result))")), Ok(()));
        let shown = format!(
            "`run` is `func(a: string) -> list<u8>` in its export {run}, and Skep calls `func() -> \
             result`"
        );
        assert_eq!(
            why(&exporting(run, "", "run", r#"(param "a" string) (result (list u8))"#)),
            shown
        );
        assert_eq!(
            why(&exporting(run, "", "go", "(result (result))")),
            format!("there is no `run` in its export {run}, and Skep calls `func() -> result`")
        );
        let handler = why(&exporting(
            "skep:worker/handler@0.1.0",
            "",
            "handle",
            r#"(param "input" string) (result string)"#,
        ));
        assert_eq!(
            handler,
            "`handle` is `func(input: string) -> string` in its export skep:worker/handler@0.1.0, \
             and Skep calls `func(input: record { content-type: string, body: list<u8> }) -> \
             result<record { content-type: string, body: list<u8> }, record { code: string, \
             message: string }>`"
        );
        let run = "wasi:cli/run@0.3.0";
        assert_eq!(check(&exporting(run, "", "run", "async (result (result))")), Ok(()));
        assert_eq!(
            why(&exporting(run, "", "run", "(result (result))")),
            format!(
                "`run` is `func() -> result` in its export {run}, and Skep calls `async func() -> result`"
            )
        );
        let hooks = why(&exporting("skep:worker/lifecycle@0.1.0", "", "disconnecting", ""));
        assert!(hooks.starts_with("there is no `connected` in its export"), "{hooks}");
        // Another package may have what it likes.
        assert_eq!(check(&exporting("acme:cli/run@0.2.0", "", "run", "(result u8)")), Ok(()));
    }

    #[test]
    fn a_function_that_skep_offers_must_have_its_type() {
        let state = "skep:worker/state@0.1.0";
        let get = |error: &str, found: &str| {
            importing(
                state,
                &format!(
                    r#"(type $e (variant {error})) (export "error" (type $error (eq $e)))
                    (export "get" (func (param "k" string)
                        (result (result {found} (error $error)))))"#
                ),
            )
        };
        let error = r#"(case "invalid-key") (case "too-large" u64) (case "unavailable" string)"#;
        assert_eq!(check(&get(error, "(option (list u8))")), Ok(()));
        for (error, found, own) in [
            (
                error,
                "(list u8)",
                "list<u8>, variant { invalid-key, too-large(u64), unavailable(string) }",
            ),
            (
                r#"(case "invalid-key")"#,
                "(option (list u8))",
                "option<list<u8>>, variant { invalid-key }",
            ),
            (
                r#"(case "invalid-key") (case "too-large" u32) (case "unavailable" string)"#,
                "(option (list u8))",
                "too-large(u32)",
            ),
        ] {
            let said = why(&get(error, found));
            let begin = format!("it imports `get` of {state} as `func(k: string) -> result<");
            assert!(said.starts_with(&begin) && said.contains(own), "{said}");
            assert!(
                said.contains("and Skep offers `func(key: string) -> result<option<"),
                "{said}"
            );
        }
        let said = why(&importing(state, r#"(export "find" (func (param "k" string)))"#));
        assert_eq!(
            said,
            format!(
                "it imports `find` of {state} as `func(k: string)`, and Skep has no such function"
            )
        );
    }

    #[test]
    fn handles_are_compared_by_the_names_of_their_resources() {
        let poll = |function: &str| {
            importing(
                "wasi:io/poll@0.2.0",
                &format!(
                    r#"(export "pollable" (type $p (sub resource)))
                    (export "other" (type $o (sub resource))) {function}"#
                ),
            )
        };
        let block = |ty: &str| {
            poll(&format!(r#"(export "[method]pollable.block" (func (param "self" {ty})))"#))
        };
        assert_eq!(check(&block("(borrow $p)")), Ok(()));
        let list = r#"(export "poll" (func (param "in" (list (borrow $o))) (result (list u32))))"#;
        let said = why(&poll(list));
        assert!(said.contains("`func(in: list<borrow<other>>) -> list<u32>`"), "{said}");
        assert!(said.contains("Skep offers `func(in: list<borrow<pollable>>)"), "{said}");
    }

    #[test]
    fn a_long_type_is_cut() {
        let mut types = r#"(type $t0 (tuple u8 u8))"#.to_owned();
        for n in 1..15 {
            let inner = n - 1;
            types += &format!("(type $t{n} (tuple $t{inner} $t{inner}))");
        }
        let wat = format!(
            r#"(component {types}
                (component $c (import "f" (func $f)) (export "run" (func $f)))
                (import "wasi:random/random@0.2.0" (instance
                    (alias outer 1 $t14 (type $t))
                    (export "get-random-u64" (func (result $t))))))"#
        );
        let said = why(&wat);
        assert!(said.len() < 1_000 && said.contains("tuple<tuple<tuple<"), "{said}");
    }
}
