//! `skep component`: the stored components of a runtime.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::{Args, Subcommand};
use futures_util::{StreamExt, stream};
use skep_client::Client;
use skep_protocol::{Artifacts, Compiled, ComponentDigest, ComponentView, Role, Stored};

use crate::connect::{ConnectArgs, talk};
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::report::ItemsReport;
use crate::source::{NamedSource, NoWriter, SourceUpload};
use crate::table::Table;
use crate::terminal::{LostOutput, Spinner};
use crate::{json, terminal};

/// Store, list and remove components
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep component push counter.wasm
  skep component list --output json
  skep component rm sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae")]
pub(crate) struct ComponentArgs {
    #[command(subcommand)]
    command: ComponentCommand,
}

#[derive(Subcommand)]
enum ComponentCommand {
    /// Store a component; one that is already stored is left as it is
    Push {
        /// Component or WASI preview1 module: a file, or - for standard input
        file: PathBuf,
        #[command(flatten)]
        connect: ConnectArgs,
    },
    /// List components
    List {
        #[command(flatten)]
        connect: ConnectArgs,
    },
    /// Show a component
    Show {
        /// Digest of the component
        digest: ComponentDigest,
        #[command(flatten)]
        connect: ConnectArgs,
    },
    /// Remove a component that no worker uses
    Rm {
        /// Digest of the component
        digest: ComponentDigest,
        #[command(flatten)]
        connect: ConnectArgs,
    },
}

/// Runs the subcommand and returns the exit code.
pub(crate) fn component(arguments: ComponentArgs) -> u8 {
    match arguments.command {
        ComponentCommand::Push { file, connect } => {
            talk(connect.output, push_and_show(&file, &connect))
        }
        ComponentCommand::List { connect } => talk(connect.output, list(&connect)),
        ComponentCommand::Show { digest, connect } => talk(connect.output, async {
            let view = connect.connect()?.runtime().await?.component(digest).await?;
            show(&view, connect.output)?;
            Ok(0)
        }),
        ComponentCommand::Rm { digest, connect } => talk(connect.output, async {
            connect.connect()?.runtime().await?.remove_component(digest).await?;
            if connect.output == OutputFormat::Json {
                terminal::print(b"{}\n")?;
            }
            Ok(0)
        }),
    }
}

async fn push_and_show(file: &Path, connect: &ConnectArgs) -> Result<u8, Failed> {
    let runtime = connect.connect()?.runtime().await?;
    let stored = push(&runtime, file).await?;
    show(&stored.item, connect.output)?;
    Ok(0)
}

/// Stores the component that a file contains.
pub(crate) async fn push(runtime: &Client, path: &Path) -> Result<Stored<ComponentView>, Failed> {
    let source = NamedSource::from(path.to_owned());
    let name = source.name();
    let spinner = Spinner::after_a_while(format!("storing {name}"));
    let (upload, bytes) = SourceUpload::open(source, NoWriter::Refuse)?;
    let messages = spinner.messages();
    // After the last byte the host reads and compiles it.
    let sent = stream::once(async move {
        if let Some(messages) = messages {
            messages.show(format!("compiling {name}"));
        }
        Ok(Bytes::new())
    });
    let bytes = bytes.chain(sent).boxed();
    upload.settle(runtime.put_component(bytes, Role::Admin).await)
}

async fn list(connect: &ConnectArgs) -> Result<u8, Failed> {
    let runtime = connect.connect()?.runtime().await?;
    let (mut items, mut cursor) = (Vec::new(), None);
    loop {
        let page = runtime.components(cursor).await?;
        items.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    match connect.output {
        OutputFormat::Json => terminal::print(&json::line(&ItemsReport { items }))?,
        OutputFormat::Text => {
            let heading =
                ["COMPONENT", "KIND", "BYTES", "COMPILED", "COMPILE MS", "CODE BYTES", "STORED"];
            let mut table = Table::new(&heading);
            let or_dash =
                |number: Option<u64>| number.map_or_else(|| "-".into(), |n| n.to_string());
            for item in &items {
                let compiled = match item.compiled {
                    Compiled::Ready => "yes",
                    Compiled::Pending => "pending",
                    Compiled::None => "no",
                };
                let (took, code) = (or_dash(item.compile_ms), or_dash(item.compiled_bytes));
                table.row([
                    &item.digest,
                    &item.kind,
                    &item.bytes,
                    &compiled,
                    &took,
                    &code,
                    &item.created_at,
                ]);
            }
            terminal::print(table.text().as_bytes())?;
        }
    }
    Ok(0)
}

fn show(view: &ComponentView, output: OutputFormat) -> Result<(), LostOutput> {
    match output {
        OutputFormat::Json => terminal::print(&json::line(view)),
        OutputFormat::Text => {
            terminal::print(format!("{}\n", view.digest).as_bytes())?;
            let compiled = match (view.compiled, view.compile_ms) {
                (Compiled::Ready, Some(took)) => format!("compiled in {took} ms"),
                (Compiled::Ready, None) => "compiled".into(),
                (Compiled::Pending, Some(taken)) => format!("still compiling, for {taken} ms"),
                (Compiled::Pending, None) => "still compiling".into(),
                (Compiled::None, _) => "not compiled".into(),
            };
            terminal::say("kind", &format!("{}, {} bytes, {compiled}", view.kind, view.bytes));
            Ok(())
        }
    }
}
