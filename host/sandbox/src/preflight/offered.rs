//! The types of the functions that Skep offers and calls, from the files in `wit/`.

use std::fmt;

use wasmparser::PrimitiveValType;

use super::interfaces::InterfaceName;

include!(concat!(env!("OUT_DIR"), "/offered.rs"));

/// A function of an interface.
#[derive(Debug)]
pub(super) struct OfferedFunction {
    pub(super) interface: &'static str,
    version: &'static str,
    pub(super) name: &'static str,
    pub(super) is_async: bool,
    pub(super) params: &'static [(&'static str, &'static WitType)],
    pub(super) result: Option<&'static WitType>,
}

/// A type in WIT. Named types are written out, since names do not decide whether types fit.
#[derive(Debug)]
pub(super) enum WitType {
    Primitive(PrimitiveValType),
    Record(&'static [(&'static str, &'static WitType)]),
    Variant(&'static [(&'static str, Option<&'static WitType>)]),
    Tuple(&'static [&'static WitType]),
    Enum(&'static [&'static str]),
    Flags(&'static [&'static str]),
    Option(&'static WitType),
    List(&'static WitType),
    Result(Option<&'static WitType>, Option<&'static WitType>),
    /// A handle to the resource of this name.
    Own(&'static str),
    Borrow(&'static str),
}

/// The entry function of a command of WASI 0.3. The types of the interfaces that it imports are checked by
/// the linker.
static RUN_0_3: OfferedFunction = OfferedFunction {
    interface: "wasi:cli/run",
    version: "0.3.0",
    name: "run",
    is_async: true,
    params: &[],
    result: Some(&WitType::Result(None, None)),
};

/// Returns the functions of an interface in a compatible version. Empty if no file in `wit/`
/// describes it.
pub(super) fn functions(
    interface: &InterfaceName,
) -> impl Iterator<Item = &'static OfferedFunction> {
    FUNCTIONS
        .iter()
        .chain([&RUN_0_3])
        .filter(|offered| interface.matches(offered.interface, offered.version))
}

impl fmt::Display for OfferedFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_async { "async func(" } else { "func(" })?;
        comma(f, self.params, |f, (name, ty)| write!(f, "{name}: {ty}"))?;
        f.write_str(")")?;
        match self.result {
            Some(ty) => write!(f, " -> {ty}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for WitType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primitive(ty) => write!(f, "{ty}"),
            Self::Record(fields) => {
                f.write_str("record { ")?;
                comma(f, fields, |f, (name, ty)| write!(f, "{name}: {ty}"))?;
                f.write_str(" }")
            }
            Self::Variant(cases) => {
                f.write_str("variant { ")?;
                comma(f, cases, |f, (name, ty)| match ty {
                    Some(ty) => write!(f, "{name}({ty})"),
                    None => f.write_str(name),
                })?;
                f.write_str(" }")
            }
            Self::Tuple(types) => {
                f.write_str("tuple<")?;
                comma(f, types, |f, ty| write!(f, "{ty}"))?;
                f.write_str(">")
            }
            Self::Enum(names) => write!(f, "enum {{ {} }}", names.join(", ")),
            Self::Flags(names) => write!(f, "flags {{ {} }}", names.join(", ")),
            Self::Option(ty) => write!(f, "option<{ty}>"),
            Self::List(ty) => write!(f, "list<{ty}>"),
            Self::Result(None, None) => f.write_str("result"),
            Self::Result(Some(ok), None) => write!(f, "result<{ok}>"),
            Self::Result(None, Some(error)) => write!(f, "result<_, {error}>"),
            Self::Result(Some(ok), Some(error)) => write!(f, "result<{ok}, {error}>"),
            Self::Own(name) => f.write_str(name),
            Self::Borrow(name) => write!(f, "borrow<{name}>"),
        }
    }
}

fn comma<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    mut write: impl FnMut(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            f.write_str(", ")?;
        }
        write(f, item)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::interfaces::OFFERS;

    fn shown(interface: &str, name: &str) -> String {
        let interface = InterfaceName::parse(interface);
        functions(&interface).find(|offered| offered.name == name).unwrap().to_string()
    }

    #[test]
    fn types_are_written_as_in_wit() {
        for (interface, name, expected) in [
            (
                "skep:worker/handler@0.1.0",
                "handle",
                "func(input: record { content-type: string, body: list<u8> }) -> result<record { \
                 content-type: string, body: list<u8> }, record { code: string, message: string }>",
            ),
            (
                "skep:worker/lifecycle@0.1.7",
                "connected",
                "func(reason: enum { created, input, restart, update })",
            ),
            ("wasi:cli/run@0.2.3", "run", "func() -> result"),
            ("wasi:cli/run@0.3.1", "run", "async func() -> result"),
            ("wasi:io/poll@0.2.0", "poll", "func(in: list<borrow<pollable>>) -> list<u32>"),
            ("wasi:io/poll@0.2.0", "[method]pollable.block", "func(self: borrow<pollable>)"),
        ] {
            assert_eq!(shown(interface, name), expected);
        }
    }

    /// `wasi:config` and `wasi:http` are bound elsewhere; the linker checks their types.
    #[test]
    fn the_types_of_every_other_offered_interface_are_known() {
        for offer in OFFERS {
            let name = InterfaceName::parse(&format!("{}@{}", offer.name, offer.version));
            let known = functions(&name).count() > 0;
            let elsewhere =
                ["wasi:config/", "wasi:http/"].iter().any(|it| offer.name.starts_with(it));
            let is_without = matches!(
                offer.name,
                "wasi:io/error"
                    | "wasi:sockets/network"
                    | "wasi:cli/terminal-input"
                    | "wasi:cli/terminal-output"
            );
            assert!(known || elsewhere || is_without, "{}", offer.name);
        }
    }
}
