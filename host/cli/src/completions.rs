//! `skep completions`: completion scripts for shells.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::terminal;

/// Write a shell's completion script to standard output
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep completions bash > ~/.local/share/bash-completion/completions/skep
  skep completions zsh > ~/.zfunc/_skep")]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Runs the subcommand and returns the exit code. `cli` is the command to complete.
pub(crate) fn completions(arguments: &CompletionsArgs, cli: &mut Command) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, cli, "skep", &mut script);
    terminal::conclude(terminal::print(&script), 0)
}
