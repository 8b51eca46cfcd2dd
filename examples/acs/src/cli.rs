//! The commands, which are those of `az communication user-identity`, and errors of the command line.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use crate::failure::{Exit, Failure};
use crate::settings::Settings;
use crate::{delete, emulator, help, identity, output};

/// The maximum width of the help.
const WIDTH: usize = 100;

/// Longer words of the command line are not repeated in errors: keys and tokens are longer.
const MAX_REPEATED: usize = 40;

const NOT_REPEATED: &str = "[not repeated: it may be a secret]";

/// Reads the command line: the names of the command, and its arguments. Help that was asked for is an
/// error of clap, too.
pub(crate) fn parse(arguments: &[OsString]) -> Result<(String, ArgMatches), clap::Error> {
    let mut matches = grammar().try_get_matches_from(arguments)?;
    let has_settings = matches.args_present();
    let mut names = Vec::new();
    while let Some((name, inner)) = matches.remove_subcommand() {
        names.push(name);
        matches = inner;
    }
    let names = names.join(" ");
    if names == "emulator" && has_settings {
        let problem = "emulator takes no settings: write acs emulator [OPTIONS]\n";
        return Err(grammar().error(ErrorKind::ArgumentConflict, problem));
    }
    Ok((names, matches))
}

/// Prints help, or what is wrong with the command line.
pub(crate) fn print_error(
    error: &clap::Error,
    arguments: &[OsString],
) -> Result<ExitCode, Failure> {
    let mut text = without_secrets(error, arguments);
    if text.contains("[-- <COMMAND>...]") && text.contains(&format!("argument {NOT_REPEATED}")) {
        let tip = "  tip: the command to run goes after --: acs emulator -- COMMAND\n\nUsage:";
        text = text.replacen("Usage:", tip, 1);
    }
    if error.use_stderr() {
        output::write_stderr(&text);
        return Ok(Exit::Usage.into());
    }
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn print_completion(matches: &ArgMatches) -> Result<(), Failure> {
    let mut script = Vec::new();
    let shell = matches.get_one::<Shell>("shell").copied().unwrap_or(Shell::Bash);
    clap_complete::generate(shell, &mut outline(), "acs", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}

pub(crate) fn flag(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

pub(crate) fn option(name: &'static str, value: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value)
}

/// A command with this at the end of its `--help`.
pub(crate) fn command(name: &'static str, long_help: &str) -> Command {
    let long_help = format!("{long_help}\n{}", help::SEE_GENERAL);
    Command::new(name)
        .after_help(help::SEE_GENERAL)
        .after_long_help(long_help.trim_start().to_owned())
}

/// Returns the commands, with the settings in the help of `acs` alone.
fn grammar() -> Command {
    let mut grammar = outline();
    // Every command gets the settings, then the emulator, which has none, loses them again.
    grammar.build();
    let hide = |setting: Arg| if setting.is_global_set() { setting.hide(true) } else { setting };
    grammar
        .mut_subcommands(move |it| it.mut_args(hide).mut_subcommands(move |it| it.mut_args(hide)))
        .mut_subcommand("emulator", |_| emulator::command().max_term_width(WIDTH))
}

fn outline() -> Command {
    let group = |name| Command::new(name).subcommand_required(true).arg_required_else_help(true);
    let check = command("check", help::CHECK)
        .about("Check the settings and show them, without secrets")
        .arg(flag("online").help("Ask the service, too"));
    let shell = Arg::new("shell")
        .required(true)
        .value_parser(value_parser!(Shell))
        .help("The shell that runs the script");
    let completion = command("completion", help::COMPLETION)
        .about("Print a script that completes the commands and options of acs")
        .arg(shell);
    group("acs")
        // Windows would show acs.exe.
        .bin_name("acs")
        .about(help::ABOUT)
        .version(env!("CARGO_PKG_VERSION"))
        .after_long_help(help::GENERAL)
        .max_term_width(WIDTH)
        .args(Settings::options())
        .args(output::options())
        .subcommand(
            group("user")
                .about("Create and delete users")
                .subcommands([identity::create_command(), delete::command()]),
        )
        .subcommand(
            group("token")
                .about("Issue, revoke and exchange access tokens")
                .subcommands(identity::token_commands()),
        )
        .subcommands([check, emulator::command(), completion])
}

/// Clap repeats a key or a token in the wrong place as an unknown word or value.
fn without_secrets(error: &clap::Error, arguments: &[OsString]) -> String {
    let is_stray = matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::TooManyValues);
    let is_option = |word: &str| {
        word.starts_with('-') && word.chars().all(|c| c == '-' || c.is_ascii_lowercase())
    };
    let mut message = error.render().to_string();
    for argument in arguments.iter().skip(1) {
        let argument = argument.to_string_lossy();
        // The values of `--name=value` and of `-nvalue` are words of their own.
        let long = argument.split_once('=').map_or("", |(_, value)| value);
        let short = argument.strip_prefix('-').and_then(|flag| flag.get(1..)).unwrap_or_default();
        // The id of a user is no secret.
        let is_possible = |word: &&str| !word.is_empty() && !word.starts_with("8:");
        for word in [&*argument, long, short].into_iter().filter(is_possible) {
            if word.len() > MAX_REPEATED || word.to_ascii_lowercase().contains("accesskey=") {
                message = message.replace(word, NOT_REPEATED);
            } else if is_stray && !is_option(word) {
                message = message.replace(&format!("'{word}'"), NOT_REPEATED);
                // The tip has it behind two dashes.
                message = message.replace(&format!(" {word}'"), &format!(" {NOT_REPEATED}'"));
            }
        }
    }
    // A terminal would obey control characters.
    message.replace(|c: char| c.is_control() && c != '\n', "")
}
