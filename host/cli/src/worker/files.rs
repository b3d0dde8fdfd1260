//! `skep worker files`: the files in a worker's directory.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use skep_protocol::{FileCondition, FileName, Files, ListFiles, RemoveFile, RenameFile};

use crate::connect::ConnectArgs;
use crate::download::download;
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::report::ItemsReport;
use crate::source::{NoWriter, SourceUpload};
use crate::table::Table;
use crate::{json, terminal};

#[derive(Args)]
#[command(after_help = "\
Examples:
  skep worker files list tally
  skep worker files get tally report.csv > report.csv
  skep worker files put tally input/data.csv data.csv
  skep worker files export tally backup.tar")]
pub(crate) struct FilesArgs {
    #[command(subcommand)]
    command: FilesCommand,
}

#[derive(Subcommand)]
enum FilesCommand {
    /// List files
    List {
        /// Worker: its id, RUNTIME/ID, or name
        worker: String,
        /// Only files whose names begin with this text
        #[arg(long, value_name = "TEXT")]
        prefix: Option<String>,
        #[command(flatten)]
        connect: ConnectArgs,
    },
    /// Write a file to standard output, or to FILE
    Get {
        /// Worker: its id, RUNTIME/ID, or name
        worker: String,
        /// Name in the worker's directory
        name: FileName,
        /// File to write to
        file: Option<PathBuf>,
        #[command(flatten)]
        connect: ConnectArgs,
    },
    /// Write a local file into the worker's directory, atomically
    Put {
        /// Worker: its id, RUNTIME/ID, or name
        worker: String,
        /// Name in the worker's directory
        name: FileName,
        /// Content: a file, or - for standard input
        file: PathBuf,
        #[command(flatten)]
        connect: ConnectArgs,
    },
    /// Remove a file
    Rm {
        /// Remove a directory with everything below it
        #[arg(long)]
        recursive: bool,
        /// Worker: its id, RUNTIME/ID, or name
        worker: String,
        /// Name in the worker's directory
        name: FileName,
        #[command(flatten)]
        connect: ConnectArgs,
    },
    /// Give a file or directory another name, which must be free
    Mv {
        /// Worker: its id, RUNTIME/ID, or name
        worker: String,
        /// Present name in the worker's directory
        from: FileName,
        /// New name
        to: FileName,
        #[command(flatten)]
        connect: ConnectArgs,
    },
    /// Write the directory as a tar archive to standard output, or to FILE
    Export {
        /// Worker: its id, RUNTIME/ID, or name
        worker: String,
        /// File to write to
        file: Option<PathBuf>,
        #[command(flatten)]
        connect: ConnectArgs,
    },
    /// Unpack a tar archive into the directory
    Import {
        /// Worker: its id, RUNTIME/ID, or name
        worker: String,
        /// Archive: a file, or - for standard input
        file: PathBuf,
        #[command(flatten)]
        connect: ConnectArgs,
    },
}

impl FilesArgs {
    pub(super) fn output(&self) -> OutputFormat {
        match &self.command {
            FilesCommand::List { connect, .. }
            | FilesCommand::Get { connect, .. }
            | FilesCommand::Put { connect, .. }
            | FilesCommand::Rm { connect, .. }
            | FilesCommand::Mv { connect, .. }
            | FilesCommand::Export { connect, .. }
            | FilesCommand::Import { connect, .. } => connect.output,
        }
    }
}

pub(super) async fn files(arguments: FilesArgs) -> Result<u8, Failed> {
    match arguments.command {
        FilesCommand::List { worker, prefix, connect } => list(&worker, prefix, &connect).await?,
        FilesCommand::Get { worker, name, file, connect } => {
            let (runtime, worker) = connect.connect()?.worker(&worker).await?;
            let (_, bytes) = runtime.read_file(worker, name, None).await?;
            download(bytes, file.as_deref()).await?;
        }
        FilesCommand::Put { worker, name, file, connect } => {
            let (runtime, worker) = connect.connect()?.worker(&worker).await?;
            let (upload, bytes) = SourceUpload::open(file.into(), NoWriter::Wait)?;
            let stored =
                upload.settle(runtime.write_file(worker, name, bytes, FileCondition::Any).await)?;
            match connect.output {
                OutputFormat::Json => terminal::print(&json::line(&stored.item))?,
                OutputFormat::Text => {
                    let (name, bytes) = (&stored.item.name, stored.item.bytes);
                    terminal::say("written", &format!("{name}, {bytes} bytes"));
                }
            }
        }
        FilesCommand::Rm { worker, name, recursive, connect } => {
            let (runtime, worker) = connect.connect()?.worker(&worker).await?;
            let how = RemoveFile { recursive, condition: FileCondition::Any };
            runtime.remove_file(worker, name, how).await?;
            if connect.output == OutputFormat::Json {
                terminal::print(b"{}\n")?;
            }
        }
        FilesCommand::Mv { worker, from, to, connect } => {
            let (runtime, worker) = connect.connect()?.worker(&worker).await?;
            runtime.rename_file(worker, RenameFile { from, to }).await?;
            if connect.output == OutputFormat::Json {
                terminal::print(b"{}\n")?;
            }
        }
        FilesCommand::Export { worker, file, connect } => {
            let (runtime, worker) = connect.connect()?.worker(&worker).await?;
            download(runtime.export(worker).await?, file.as_deref()).await?;
        }
        FilesCommand::Import { worker, file, connect } => {
            let (runtime, worker) = connect.connect()?.worker(&worker).await?;
            let (upload, bytes) = SourceUpload::open(file.into(), NoWriter::Wait)?;
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
        let page = runtime
            .files(worker, ListFiles { prefix: prefix.clone(), cursor, by_directory: false })
            .await?;
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
