//! `skep worker files`: what lies in a worker's directory.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use skep_protocol::{FileName, Files, ListFiles};

use crate::connect::ConnectArgs;
use crate::download::download;
use crate::failure::Failed;
use crate::report::ItemsReport;
use crate::source::{NoWriter, Upload};
use crate::table::Table;
use crate::{OutputFormat, json, terminal};

#[derive(Args)]
#[command(after_help = "\
Examples:
  skep worker files list tally
  skep worker files get tally report.csv > report.csv
  skep worker files put tally input/data.csv data.csv
  skep worker files export tally backup.tar")]
pub(crate) struct FilesArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Lists files
    List {
        /// Which
        worker: String,
        /// Only those whose names begin so
        #[arg(long, value_name = "TEXT")]
        prefix: Option<String>,
        #[command(flatten)]
        connect: ConnectArgs,
    },
    /// Writes a file to standard output, or to FILE
    Get {
        /// Which
        worker: String,
        /// Its name in the worker's directory
        name: FileName,
        /// Where to
        file: Option<PathBuf>,
        #[command(flatten)]
        connect: ConnectArgs,
    },
    /// Writes a file of ours into the worker's directory, in one step
    Put {
        /// Which
        worker: String,
        /// Its name there
        name: FileName,
        /// What to write: a file, or - for standard input
        file: PathBuf,
        #[command(flatten)]
        connect: ConnectArgs,
    },
    /// Removes a file
    Rm {
        /// Which
        worker: String,
        /// Its name in the worker's directory
        name: FileName,
        #[command(flatten)]
        connect: ConnectArgs,
    },
    /// Writes the directory as a tar archive to standard output, or to FILE
    Export {
        /// Which
        worker: String,
        /// Where to
        file: Option<PathBuf>,
        #[command(flatten)]
        connect: ConnectArgs,
    },
    /// Unpacks a tar archive into the directory
    Import {
        /// Which
        worker: String,
        /// The archive: a file, or - for standard input
        file: PathBuf,
        #[command(flatten)]
        connect: ConnectArgs,
    },
}

impl FilesArgs {
    pub(super) fn output(&self) -> OutputFormat {
        match &self.verb {
            Verb::List { connect, .. }
            | Verb::Get { connect, .. }
            | Verb::Put { connect, .. }
            | Verb::Rm { connect, .. }
            | Verb::Export { connect, .. }
            | Verb::Import { connect, .. } => connect.output,
        }
    }
}

pub(super) async fn files(arguments: FilesArgs) -> Result<u8, Failed> {
    match arguments.verb {
        Verb::List { worker, prefix, connect } => list(&worker, prefix, &connect).await?,
        Verb::Get { worker, name, file, connect } => {
            let (runtime, worker) = connect.connect()?.worker(&worker).await?;
            let (_, bytes) = runtime.read_file(worker, name, None).await?;
            download(bytes, file.as_deref()).await?;
        }
        Verb::Put { worker, name, file, connect } => {
            let (runtime, worker) = connect.connect()?.worker(&worker).await?;
            let (upload, bytes) = Upload::open(file.into(), NoWriter::Wait)?;
            let stored = upload.settle(runtime.write_file(worker, name, bytes).await)?;
            match connect.output {
                OutputFormat::Json => terminal::print(&json::line(&stored.item))?,
                OutputFormat::Text => {
                    let (name, bytes) = (&stored.item.name, stored.item.bytes);
                    terminal::say("written", &format!("{name}, {bytes} bytes"));
                }
            }
        }
        Verb::Rm { worker, name, connect } => {
            let (runtime, worker) = connect.connect()?.worker(&worker).await?;
            runtime.remove_file(worker, name).await?;
            if connect.output == OutputFormat::Json {
                terminal::print(b"{}\n")?;
            }
        }
        Verb::Export { worker, file, connect } => {
            let (runtime, worker) = connect.connect()?.worker(&worker).await?;
            download(runtime.export(worker).await?, file.as_deref()).await?;
        }
        Verb::Import { worker, file, connect } => {
            let (runtime, worker) = connect.connect()?.worker(&worker).await?;
            let (upload, bytes) = Upload::open(file.into(), NoWriter::Wait)?;
            let imported = upload.settle(runtime.import(worker, bytes).await)?;
            match connect.output {
                OutputFormat::Json => terminal::print(&json::line(&imported))?,
                OutputFormat::Text => {
                    let (files, bytes) = (imported.files, imported.bytes);
                    terminal::say("unpacked", &format!("{files} files, {bytes} bytes"));
                }
            }
        }
    }
    Ok(0)
}

async fn list(worker: &str, prefix: Option<String>, connect: &ConnectArgs) -> Result<(), Failed> {
    let (runtime, worker) = connect.connect()?.worker(worker).await?;
    let (mut items, mut diagnostics, mut cursor) = (Vec::new(), Vec::new(), None);
    loop {
        let page = runtime.files(worker, ListFiles { prefix: prefix.clone(), cursor }).await?;
        items.extend(page.items);
        diagnostics.extend(page.diagnostics);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    for diagnostic in &diagnostics {
        terminal::say("warning", &format!("{}: {}", diagnostic.code.as_str(), diagnostic.message));
    }
    match connect.output {
        OutputFormat::Json => terminal::print(&json::line(&ItemsReport { items }))?,
        OutputFormat::Text => {
            let mut table = Table::new(&["FILE", "BYTES", "WRITTEN"]);
            for file in &items {
                table.row([&file.name, &file.bytes, &file.modified_at]);
            }
            terminal::print(table.text().as_bytes())?;
        }
    }
    Ok(())
}
