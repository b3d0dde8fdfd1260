//! The macro that declares the traits of [`crate::handle`], and from the same list what a
//! [`crate::Layer`] needs to pass a verb on.

/// Declares traits of verbs. Each verb is written as `[kind] async fn name(arguments) -> answer;`,
/// where the kind is one of
///
/// - `read`: changes nothing,
/// - `act`: gives a worker something to do; the transcript records it,
/// - `change(Action)`: changes the runtime; the audit records it under that [`crate::Action`].
///
/// The macro expands to the traits, to an implementation of each for every [`crate::Layer`], and to
/// [`crate::Verb`].
macro_rules! verbs {
    ($(
        $(#[$trait_doc:meta])*
        trait $noun:ident {
            $(
                $(#[$doc:meta])*
                [$($kind:tt)+] async fn $name:ident($($arg:ident: $type:ty),* $(,)?) -> $answer:ty;
            )*
        }
    )*) => {
        $(
            $(#[$trait_doc])*
            ///
            /// Each verb answers [`Error::OperationUnsupported`] unless a runtime implements it.
            #[async_trait]
            #[expect(unused_variables, reason = "a runtime without a verb reads no argument of it")]
            pub trait $noun: Send + Sync {
                $(
                    $(#[$doc])*
                    async fn $name(&self, $($arg: $type),*) -> Result<$answer, Error> {
                        Err(Error::OperationUnsupported)
                    }
                )*
            }

            #[async_trait]
            impl<L: Layer> $noun for L {
                $(
                    async fn $name(&self, $($arg: $type),*) -> Result<$answer, Error> {
                        self.pass(Invocation::new(
                            ($($arg,)*),
                            |($($arg,)*)| Verb::$name { $($arg),* },
                            |($($arg,)*), runtime| {
                                Box::pin(async move { runtime.$name($($arg),*).await })
                            },
                        ))
                        .await
                    }
                )*
            }
        )*

        /// A verb on its way to a runtime, with its arguments. Variants are named as the verbs are.
        #[expect(missing_docs, non_camel_case_types, reason = "they are the verbs, documented there")]
        pub enum Verb<'a> {
            $($($name { $($arg: &'a mut $type),* },)*)*
        }

        impl Verb<'_> {
            /// The names of all verbs.
            pub const NAMES: &'static [&'static str] = &[$($(stringify!($name)),*),*];

            /// Returns the name of the verb.
            pub fn name(&self) -> &'static str {
                match self {
                    $($(Self::$name { .. } => stringify!($name),)*)*
                }
            }

            /// Returns the effect of the verb.
            pub fn effect(&self) -> Effect {
                match self {
                    $($(Self::$name { .. } => verbs!(@effect $($kind)+),)*)*
                }
            }

            /// Returns the worker that the verb names, if it names one.
            pub fn worker(&self) -> Option<WorkerId> {
                match self {
                    $($(Self::$name { $($arg),* } => {
                        let arguments: &[&dyn Any] = &[$(&**$arg),*];
                        named_worker(arguments)
                    })*)*
                }
            }
        }
    };
    (@effect read) => { Effect::Read };
    (@effect act) => { Effect::Act };
    (@effect change($action:ident)) => { Effect::Change(Action::$action) };
}

pub(crate) use verbs;
